"""What a renderer learns of the demonstration's scene in some minutes on a CPU.

The published network is trained on crops of 64x64 of 20 frames in 600 steps, with the loss that
needs no weights of VGG, and evaluated on whole frames that it never had to render. Compared with
its own first epoch, and with the nearest photographs warped into place, whose holes are filled.

Prints one JSON line per figure; lines with a target of 0 inform only. Ends with 1 if a target is
missed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]

from bench_extraction import report  # noqa: E402
from rendered_scene import synced  # noqa: E402

from components.core.artifacts.model_bundle import ModelBundle  # noqa: E402
from components.core.artifacts.rendering_evaluation import RenderingMetrics  # noqa: E402
from components.core.events import Reporter  # noqa: E402
from components.evaluate_renderings.stage import STAGE as EVALUATE  # noqa: E402
from components.evaluate_renderings.stage import EvaluateRenderingsSettings  # noqa: E402
from components.train_renderer.stage import STAGE as TRAIN  # noqa: E402
from components.train_renderer.stage import TrainRendererSettings  # noqa: E402
from pipelines.demo_scene import write_scene  # noqa: E402

SETTINGS = TrainRendererSettings(
    input_width=128,
    input_height=96,
    crop_width=64,
    crop_height=64,
    epochs=60,
    learning_rate=2e-3,
    schedule="cosine",
    device="cpu",
    write_output_nth_epoch=0,
)

LEARNED, OVER_WARPED = 6.0, 2.0
"""dB."""


def main() -> None:
    """Runs everything; ends with 1 if a target is missed."""
    quiet = Reporter("bench", "silent")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        frames = synced(write_scene(folder / "scene"), folder / "synced")
        outputs = {kind: folder / kind for kind in ("model", "results", "evaluation", "report")}
        state = folder / "state"
        began = time.monotonic()
        TRAIN.execute(SETTINGS, {"frames": frames}, outputs, state, quiet)
        seconds = time.monotonic() - began
        given = {"model": outputs["model"], "frames": frames}
        settings = EvaluateRenderingsSettings(device="cpu", gallery=0)
        EVALUATE.execute(settings, given, outputs, state, quiet)
        curves = ModelBundle.load(outputs["model"]).curves
        figures = RenderingMetrics.read(outputs["evaluation"]).figures
    ratios = [row["val_psnr"] for row in curves]
    results = [
        report("dB above the first epoch", max(ratios) - ratios[0], LEARNED),
        report("dB above warped photographs, test", figures["gain"], OVER_WARPED),
        report("PSNR of whole test frames in dB", figures["psnr"], 0),
        report("SSIM of whole test frames", figures["ssim"], 0),
        report("minutes of training", seconds / 60, 0),
    ]
    raise SystemExit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
