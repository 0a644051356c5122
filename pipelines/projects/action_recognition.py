"""Action recognition: labelled clips in, an evaluated and published I3D classifier out."""

from components.train_video.component import train_video
from pipelines.projects._video import video_pipeline

DEFAULTS: dict[str, object] = {}
"""None of its own: the stages' defaults are made for this project."""

action_recognition = video_pipeline(
    "action_recognition",
    "Action recognition",
    "Labelled clips in, an evaluated and published I3D classifier out.",
    DEFAULTS,
    train_video,
)
