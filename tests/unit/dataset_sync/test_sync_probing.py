"""Looking at clips in worker processes, which may die."""

import os
from pathlib import Path

from clips import make_clips

from components.dataset_sync.probing import probe_all


class Bomb:
    """Stands for a file that crashes the decoder: ends the process that unpickles it."""

    def __reduce__(self) -> object:
        return os._exit, (139,)


def test_a_file_that_kills_its_process_is_bad_and_the_rest_is_fine(tmp_path: Path) -> None:
    make_clips(tmp_path, *(f"{number}.mp4" for number in range(4)))
    paths = {path.name: path for path in sorted(tmp_path.iterdir())}
    paths["bomb"] = Bomb()  # type: ignore[assignment]
    results = dict(probe_all(paths, workers=2))
    assert results.pop("bomb").error == "it ended its process (exit code 139), twice"
    assert {name: (result.frames, result.error) for name, result in results.items()} == {
        f"{number}.mp4": (8, "") for number in range(4)
    }


def test_nothing_to_look_at() -> None:
    assert list(probe_all({}, workers=0)) == []
