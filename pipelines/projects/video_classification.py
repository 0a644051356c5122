"""Video classification: clips by source and class in, a served Keras classifier out."""

from components.train_keras.component import train_keras
from pipelines.projects._video import video_pipeline

DEFAULTS: dict[str, object] = {
    "layout": "sources",
    "class_rule": "first_underscore",
    "spread": True,
    "resize": "letterbox",
    "frame_size": 224,
    "sample_frames": 20,
    "train_confusion": True,
}
"""Clips lie in a folder per source, with folders <class>_<subclass> in it."""

video_classification = video_pipeline(
    "video_classification",
    "Video classification",
    "Clips by source and class in, a served Keras classifier out; a task of the registry may say "
    "which, and the registry what became of it.",
    DEFAULTS,
    train_keras,
    recorded=True,
)
