"""Training crops and validation frames."""

from __future__ import annotations

from components.core.rendering.reader import RenderingReader
from components.core.training.rendering_augmentation import RenderingAugmentation
from components.core.training.renderings import RenderingExamples
from components.train_renderer.stage import TrainRendererSettings


def train_size(settings: TrainRendererSettings) -> tuple[int, int]:
    """Height and width of training crops."""
    width, height = settings.crop
    return height, width


def val_size(settings: TrainRendererSettings) -> tuple[int, int]:
    """Height and width of what is validated; (0, 0) for whole frames."""
    return settings.input_height, settings.input_width


def make_examples(
    settings: TrainRendererSettings, reader: RenderingReader
) -> tuple[RenderingExamples, RenderingExamples]:
    """Augmented training crops, and validation frames seen in the middle."""
    augmentation = RenderingAugmentation(
        settings.seed,
        settings.flip,
        settings.exposure,
        settings.aux_dropout,
        settings.aux_shuffle,
    )
    aux = settings.in_gt_frame_amount
    train, val = (reader.index.positions(part) for part in ("train", "val"))
    return (
        RenderingExamples(reader, train, train_size(settings), aux, augmentation),
        RenderingExamples(reader, val, val_size(settings), aux),
    )
