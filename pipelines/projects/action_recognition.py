"""Action recognition: labelled clips in, an evaluated and published I3D classifier out."""

from kfp import dsl

from components.core.docstrings import documented
from components.dataset_sync.component import dataset_sync
from components.dataset_sync.stage import STAGE as SYNC
from components.evaluate_clips.component import evaluate_clips
from components.evaluate_clips.stage import STAGE as EVALUATE
from components.frame_extraction.component import frame_extraction
from components.frame_extraction.stage import STAGE as EXTRACT
from components.split_clips.component import split_clips
from components.split_clips.stage import STAGE as SPLIT
from components.train_video.component import train_video
from components.train_video.stage import STAGE as TRAIN
from components.triton_publish.component import triton_publish
from components.triton_publish.stage import STAGE as PUBLISH
from pipelines.placement import Placement, place

PLACEMENTS = {
    "dataset_sync": Placement(cpu="4", memory="8Gi", s3=True, cached=False),
    "split_clips": Placement(cpu="1", memory="2Gi"),
    "frame_extraction": Placement(cpu="8", memory="8Gi"),
    "train_video": Placement(cpu="8", memory="32Gi", gpus=1, shared_memory="8Gi"),
    "evaluate_clips": Placement(cpu="8", memory="16Gi", shared_memory="4Gi"),
    "triton_publish": Placement(cpu="2", memory="8Gi", s3=True, cached=False),
}


@dsl.pipeline(name="action-recognition", display_name="Action recognition")
@documented(
    SYNC,
    SPLIT,
    EXTRACT,
    TRAIN,
    EVALUATE,
    PUBLISH,
    summary="Labelled clips in, an evaluated and published I3D classifier out.",
)
def action_recognition(
    source: str,
    extensions: list[str] = [],  # noqa: B006
    class_rule: str = "folder",
    ignore_folders: list[str] = [],  # noqa: B006
    groups: str = "",
    mirror: bool = False,
    max_bad_fraction: float = 0.05,
    workers: int = 0,
    connections: int = 32,
    train_size: float = 0.0,
    val_size: float = 0.15,
    test_size: float = 0.15,
    folds: int = 0,
    fold: int = 0,
    seed: int = 0,
    sampling: str = "uniform",
    sample_frames: int = 32,
    sample_fps: float = 12.5,
    resize: str = "stretch",
    frame_size: int = 112,
    crop_margin: int = 16,
    storage: str = "jpeg",
    jpeg_quality: int = 90,
    clip_timeout: float = 120.0,
    shard_mb: int = 64,
    clip_frames: int = 32,
    clip_stride: int = 1,
    input_size: int = 0,
    width: float = 1.0,
    multi_label: bool = False,
    dropout: float = 0.5,
    pretrained: str = "",
    freeze: str = "",
    epochs: int = 30,
    batch_size: int = 8,
    accumulate: int = 1,
    optimizer: str = "adamw",
    learning_rate: float = 0.001,
    weight_decay: float = 0.0001,
    momentum: float = 0.9,
    schedule: str = "cosine",
    warmup_epochs: float = 1.0,
    milestones: list[float] = [],  # noqa: B006
    gradient_clip: float = 0.0,
    label_smoothing: float = 0.0,
    class_weighting: str = "",
    flip: bool = False,
    flip_pairs: list[str] = [],  # noqa: B006
    ema: float = 0.0,
    monitor: str = "val_macro_f1",
    early_stop: int = 0,
    keep_every: int = 0,
    checkpoint_minutes: float = 10.0,
    deterministic: bool = False,
    precision: str = "auto",
    device: str = "auto",
    channels_last: bool = True,
    compile: bool = False,
    part: str = "test",
    threshold: str = "tuned",
    top_k: int = 5,
    views: int = 1,
    bootstrap: int = 1000,
    confidence: float = 0.95,
    baseline: bool = True,
    mistakes: int = 12,
    model_name: str = "",
    repository: str = "",
    keep_versions: int = 0,
    max_batch_size: int = 8,
    triton_url: str = "",
    triton_timeout: float = 120.0,
) -> None:
    sync = dataset_sync(
        source=source,
        extensions=extensions,
        class_rule=class_rule,
        ignore_folders=ignore_folders,
        groups=groups,
        mirror=mirror,
        max_bad_fraction=max_bad_fraction,
        workers=workers,
        connections=connections,
    )
    place(sync, PLACEMENTS["dataset_sync"])
    splitting = split_clips(
        clips=sync.outputs["clips"],
        train_size=train_size,
        val_size=val_size,
        test_size=test_size,
        folds=folds,
        fold=fold,
        seed=seed,
    )
    place(splitting, PLACEMENTS["split_clips"])
    extraction = frame_extraction(
        clips=sync.outputs["clips"],
        sampling=sampling,
        sample_frames=sample_frames,
        sample_fps=sample_fps,
        resize=resize,
        frame_size=frame_size,
        crop_margin=crop_margin,
        storage=storage,
        jpeg_quality=jpeg_quality,
        max_bad_fraction=max_bad_fraction,
        clip_timeout=clip_timeout,
        shard_mb=shard_mb,
        workers=workers,
    )
    place(extraction, PLACEMENTS["frame_extraction"])
    training = train_video(
        frames=extraction.outputs["frames"],
        split=splitting.outputs["split"],
        clip_frames=clip_frames,
        clip_stride=clip_stride,
        input_size=input_size,
        width=width,
        multi_label=multi_label,
        dropout=dropout,
        pretrained=pretrained,
        freeze=freeze,
        epochs=epochs,
        batch_size=batch_size,
        accumulate=accumulate,
        optimizer=optimizer,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        momentum=momentum,
        schedule=schedule,
        warmup_epochs=warmup_epochs,
        milestones=milestones,
        gradient_clip=gradient_clip,
        label_smoothing=label_smoothing,
        class_weighting=class_weighting,
        flip=flip,
        flip_pairs=flip_pairs,
        ema=ema,
        monitor=monitor,
        early_stop=early_stop,
        keep_every=keep_every,
        checkpoint_minutes=checkpoint_minutes,
        seed=seed,
        deterministic=deterministic,
        precision=precision,
        device=device,
        workers=workers,
        channels_last=channels_last,
        compile=compile,
    )
    place(training, PLACEMENTS["train_video"])
    evaluation = evaluate_clips(
        model=training.outputs["model"],
        frames=extraction.outputs["frames"],
        split=splitting.outputs["split"],
        part=part,
        threshold=threshold,
        top_k=top_k,
        views=views,
        bootstrap=bootstrap,
        confidence=confidence,
        baseline=baseline,
        mistakes=mistakes,
        seed=seed,
        batch_size=batch_size,
        workers=workers,
    )
    place(evaluation, PLACEMENTS["evaluate_clips"])
    publishing = triton_publish(
        model=training.outputs["model"],
        evaluation=evaluation.outputs["evaluation"],
        model_name=model_name,
        repository=repository,
        keep_versions=keep_versions,
        max_batch_size=max_batch_size,
        triton_url=triton_url,
        triton_timeout=triton_timeout,
    )
    place(publishing, PLACEMENTS["triton_publish"])
