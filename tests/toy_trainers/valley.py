"""`python -m toy_trainers.valley`: its figure is best at rate 0.01, depth 3 and shape "round".

It trains as a real one does: epoch by epoch, resumable, with figures of each epoch, and it says in
`work/epochs.txt` which epochs it has trained, so that tests can count them.
"""

import math
import time
from typing import Literal

from pydantic import Field

from components.core.artifacts.model_bundle import ModelBundle
from components.core.command_line import main
from components.core.errors import InputError
from components.core.settings import RUNTIME, Settings
from components.core.stage import Job, Stage


class ValleySettings(Settings):
    """Settings of the toy."""

    rate: float = Field(0.5, gt=0, le=1, description="Best is 0.01")
    depth: int = Field(8, ge=1, le=9, description="Best is 3")
    shape: Literal["round", "square"] = Field("square", description="Best is round")
    offset: float = Field(0.0, description="Added to the figure")
    epochs: int = Field(3, ge=1, description="Epochs")
    monitor: str = Field("val_score", description="What chooses the epoch")
    fails_above: float = Field(1.0, description="Rates above it make training fail")
    seed: int = Field(0, ge=0, description="A little of the figure")
    seconds: float = Field(0.0, ge=0, description="Of each epoch", json_schema_extra=RUNTIME)


def score(settings: ValleySettings, epoch: int) -> float:
    """The validation figure after an epoch: rises to at most 1."""
    miss = abs(math.log10(settings.rate) + 2) / 4 + abs(settings.depth - 3) / 10
    miss += 0.0 if settings.shape == "round" else 0.2
    noise = 0.001 * math.sin(settings.seed)
    return (1 - miss) * (1 - 0.5**epoch) + settings.offset + noise


def train(settings: ValleySettings, job: Job) -> None:
    if settings.rate > settings.fails_above:
        raise InputError(f"rate {settings.rate:g} makes it diverge; lower it")
    log = job.work / "epochs.txt"
    done = len(log.read_text().split()) if log.exists() else 0
    for epoch in range(1, settings.epochs + 1):
        if epoch > done:
            time.sleep(settings.seconds)
            with open(log, "a", encoding="utf-8") as file:
                file.write(f"{epoch}\n")
        value = score(settings, epoch)
        job.report.metrics({"val_score": value, "val_loss": 1 - value}, step=epoch)
    model = job.outputs["model"]
    model.mkdir()
    ModelBundle(
        fingerprint=str(score(settings, settings.epochs)),
        name="valley",
        formats={},
        task="toy",
        metrics={"val_score": value, "val_loss": 1 - value},
    ).save(model)


STAGE = Stage(
    name="valley",
    settings=ValleySettings,
    function=train,
    inputs={"frames": "anything", "split": "anything"},
    outputs={"model": "nothing but figures"},
)

if __name__ == "__main__":
    raise SystemExit(main(STAGE))
