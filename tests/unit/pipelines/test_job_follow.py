"""Following a log over broken connections: every line once, whatever nodes do to timestamps."""

from pipelines.backends._job_follow import _refused_pod, _Shown, pod_pending

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


def test_a_quota_is_told_once_with_what_to_do() -> None:
    refusal = 'FailedCreate: Error creating: pods "train-{}" is forbidden: exceeded quota: none'
    told = {_refused_pod("train", refusal.format(name)) for name in ("x7k2p", "0-bbbbb")}
    assert len(told) == 1
    assert "wait for other Jobs to end, or ask for less: --cpu, --memory, --gpus" in told.pop()


def test_a_pod_without_a_node_says_what_to_do() -> None:
    waits = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}
    told = pod_pending({"metadata": {"name": "p"}, "status": {"conditions": [waits]}})
    assert "waits for a node: 0/1 nodes are available; if that stays so, ask for less" in told
    assert "kubectl get nodes -L nvidia.com/gpu.product" in told
