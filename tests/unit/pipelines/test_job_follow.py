"""Following a log over broken connections: every line once, whatever nodes do to timestamps."""

from pipelines.backends._job_follow import _Shown

FIRST = [
    "2026-11-21T08:00:00.1Z epoch 1",
    "2026-11-21T08:00:00.12Z epoch 2",
    "2026-11-21T08:00:01Z two lines",
    "2026-11-21T08:00:01Z of one moment",
]


def read(shown: _Shown, lines: list[str]) -> list[str]:
    shown.begin()
    return [text for line in lines if (text := shown.new(line)) is not None]


def test_a_log_that_is_read_again_shows_new_lines_only() -> None:
    shown = _Shown()
    assert read(shown, FIRST[:3]) == ["epoch 1", "epoch 2", "two lines"]
    assert read(shown, FIRST) == ["of one moment"]
    assert read(shown, FIRST) == []
    assert read(shown, [*FIRST, "2026-11-21T08:00:01.000000001Z "]) == [""]


def test_lines_that_a_node_has_rotated_away_are_not_waited_for() -> None:
    shown = _Shown()
    read(shown, FIRST)
    assert read(shown, ["2026-11-21T08:00:02.5Z later"]) == ["later"]


def test_lines_without_a_timestamp_are_shown() -> None:
    assert read(_Shown(), ["failed to open the log"]) == ["failed to open the log"]
