"""The DAG of every project that trains a clip classifier; projects differ in their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kfp import dsl

from components.check_changes.component import check_changes
from components.check_changes.stage import STAGE as CHECK
from components.check_changes.stage import YES
from components.dataset_sync.component import dataset_sync
from components.dataset_sync.stage import STAGE as SYNC
from components.evaluate_clips.component import evaluate_clips
from components.evaluate_clips.stage import STAGE as EVALUATE
from components.frame_extraction.component import frame_extraction
from components.frame_extraction.stage import STAGE as EXTRACT
from components.hpo_sweep.stage import STAGE as SWEEP
from components.read_task.component import read_task
from components.read_task.stage import STAGE as READ
from components.record_run.component import record_run
from components.record_run.stage import STAGE as RECORD
from components.split_clips.component import split_clips
from components.split_clips.stage import STAGE as SPLIT
from components.triton_publish.component import triton_publish
from components.triton_publish.stage import STAGE as PUBLISH
from pipelines.plan import load_stage
from pipelines.projects._steps import Steps, make_pipeline
from pipelines.projects._video_problems import problems

COMPONENTS = {
    "read_task": read_task,
    "dataset_sync": dataset_sync,
    "check_changes": check_changes,
    "split_clips": split_clips,
    "frame_extraction": frame_extraction,
    "evaluate_clips": evaluate_clips,
    "triton_publish": triton_publish,
    "record_run": record_run,
}


def video_pipeline(
    name: str,
    title: str,
    summary: str,
    defaults: Mapping[str, Any],
    trainer: Any,
    recorded: bool = False,
) -> Any:
    """Makes the pipeline from clips to a published classifier.

    Args:
        name: of the module and of the pipeline function.
        title: shown in the Kubeflow UI.
        summary: one sentence on what goes in and comes out.
        defaults: parameters whose default differs from the stage's.
        trainer: the component that trains.
        recorded: whether a task of the registry may say what is wanted, and the registry what
            became of it.

    Raises:
        ValueError: a default for a parameter that no stage has.
    """
    train = load_stage(trainer.name.replace("-", "_"))
    around = (READ, RECORD) if recorded else ()

    def draw(step: Steps) -> None:
        wanted = {"task": step(READ).outputs["wanted"]} if recorded else {}
        clips = step(SYNC, **wanted).outputs["clips"]
        changed = step(CHECK, dataset=clips, **wanted).outputs["Output"]
        with dsl.If(changed == YES, name="if-changed"):
            split = step(SPLIT, clips=clips, **wanted).outputs["split"]
            frames = step(EXTRACT, clips=clips).outputs["frames"]
            study = step.search(frames, split)
            model = step(train, frames=frames, split=split, study=study).outputs["model"]
            tested = step(EVALUATE, model=model, frames=frames, split=split)
            found = tested.outputs["evaluation"]
            published = step(PUBLISH, model=model, evaluation=found, **wanted)
            if recorded:
                step(RECORD, published=published.outputs["published"], evaluation=found)

    return make_pipeline(
        name,
        title,
        summary,
        (SYNC, CHECK, SPLIT, EXTRACT, train, EVALUATE, PUBLISH, SWEEP, *around),
        {**COMPONENTS, train.name: trainer},
        defaults,
        train,
        draw,
        problems,
        recorded,
    )
