"""Low-resolution actions: tiny multi-label clips in, a resizer network with I3D behind it out."""

from components.train_video.component import train_video
from pipelines.projects._video import video_pipeline

DEFAULTS: dict[str, object] = {
    "layout": "tinyvirat",
    "val_size": 0.1,
    "allow_missing": True,
    "sampling": "all",
    "frame_size": 56,
    "crop_margin": 0,
    "network": "resizer_2d",
    "clip_frames": 32,
    "multi_label": True,
    "epochs": 30,
    "batch_size": 32,
    "accumulate": 2,
    "optimizer": "adam",
    "learning_rate": 0.001,
    "weight_decay": 0.0,
    "schedule": "constant",
    "warmup_epochs": 0.0,
    "keep_every": 1,
    "checkpoints": "all",
    "threshold": "0.5",
}
"""The TinyVIRAT study's choices where they were sound; see prp/README.md for what was not."""

low_resolution_actions = video_pipeline(
    "low_resolution_actions",
    "Low-resolution actions",
    "Tiny multi-label clips in, an evaluated and published resizer network with I3D behind it out.",
    DEFAULTS,
    train_video,
)
