"""Publishes a trained renderer into the folder that the viewer reads its networks from.

Writes `<name>.pt` and, when that is there, `<name>.txt`, which names it. Before, the trace is read
again and compared with the weights. A name that another network has is never overwritten: the
next free number is appended. The same network is never published twice under the same name.
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from components.core.errors import TrainyardError
from components.core.formats.viewer_network import name_problems
from components.core.settings import WRITTEN_PLACE, Settings
from components.core.stage import Job, Stage


class PublishRendererSettings(Settings):
    """Settings of `publish_renderer`."""

    networks: str = Field(
        "",
        description="The viewer's folder of networks, or s3://bucket/prefix; '' makes one in the "
        "output",
        json_schema_extra=WRITTEN_PLACE,
    )
    network_name: str = Field(
        "", description="Name in the viewer, without spaces; '' takes that of the training"
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.network_name and (problems := name_problems(self.network_name)):
            raise ValueError(problems[0].replace("name:", "network_name:", 1))
        return self


def check(settings: PublishRendererSettings) -> list[TrainyardError]:
    """Whether the folder can be reached."""
    from components.core.model_repository import reach

    if not settings.networks:
        return []
    try:
        reach(settings.networks)
    except TrainyardError as error:
        return [type(error)(f"networks: {error}")]
    return []


def publish(settings: PublishRendererSettings, job: Job) -> None:
    """Reads `model` and `evaluation`; writes into the viewer's folder, and `published`.

    Raises:
        InputError: the model has no trace that the viewer takes, or the evaluation is another's.
        ServiceError: the object store fails.
        TrainyardError: the trace does not compute what the network does.
    """
    from components.publish_renderer.publishing import run

    run(settings, job)


STAGE = Stage(
    name="publish_renderer",
    settings=PublishRendererSettings,
    function=publish,
    inputs={
        "model": "the trained renderer (ModelBundle)",
        "evaluation": "its evaluation, for the model card (RenderingEvaluation)",
    },
    outputs={"published": "where it was published, and its model card (Publication)"},
    external=True,
    check=check,
)
