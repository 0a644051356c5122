"""The demonstration's scene, small, and the data set that `rendering_sync` makes of it."""

from pathlib import Path

from components.core.events import Reporter
from components.rendering_sync.stage import STAGE, RenderingSyncSettings
from pipelines.demo_scene import write_scene

NATIVE = (104, 76)
"""Photos of 104 x 76 pixels, renderings of 96 x 64."""


def scene(folder: Path, frames: int = 8, aux: int = 2, **options) -> Path:
    """Writes a scene of one or several sets."""
    return write_scene(folder, frames, aux, **{"native": NATIVE, **options})


def synced(source: Path | str, place: Path, **settings) -> Path:
    """The data set of exported sets, in `place/frames`; `place/state` is used again."""
    outputs = {"frames": place / "frames", "report": place / "report.html"}
    chosen = RenderingSyncSettings(source=str(source), **{"workers": 1, **settings})
    STAGE.execute(chosen, {}, outputs, place.parent / "state", Reporter("test", "silent"))
    return outputs["frames"]
