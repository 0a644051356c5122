"""Publishes a trained model into a Triton model repository.

Writes `<model>/<version>/model.onnx` with `config.pbtxt`, labels, a model card and
`<model>.config`; the next free version appears whole, earlier ones stay. The same model is never
published twice. With `triton_url` a running server loads it, and its answer is compared.
"""

from __future__ import annotations

from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from components.core.errors import TrainyardError
from components.core.settings import WRITTEN_PLACE, Settings
from components.core.stage import Job, Stage


class PublishSettings(Settings):
    """Settings of `triton_publish`."""

    model_name: str = Field("", description="Name in the repository; '' takes the model's own")
    repository: str = Field(
        "",
        description="Model repository: a folder or s3://bucket/prefix; '' makes one in the output",
        json_schema_extra=WRITTEN_PLACE,
    )
    keep_versions: int = Field(
        0, ge=0, description="Newest versions to keep, older ones are removed; 0 keeps all"
    )
    max_batch_size: int = Field(8, ge=1, description="Largest batch that the server may form")
    triton_url: str = Field(
        "",
        description="Server that loads the model and is compared with it (http://host:8000)",
    )
    triton_timeout: float = Field(
        120.0, gt=0, description="Seconds that the server may take to load the model"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        from components.core.formats.triton import name_problem

        problems = []
        if self.model_name and (problem := name_problem(self.model_name)):
            problems.append(problem)
        if self.triton_url:
            parts = urlsplit(self.triton_url)
            if parts.scheme not in ("http", "https") or not parts.netloc:
                problems.append(
                    f"triton_url: got {self.triton_url!r}, accepted is http://host:port or "
                    "https://host"
                )
            if not self.repository:
                problems.append(
                    "triton_url: a server can only load from a repository that it serves; set "
                    "repository to it"
                )
        if problems:
            raise ValueError("; ".join(problems))
        return self


def check(settings: PublishSettings) -> list[TrainyardError]:
    """Whether repository and server can be reached."""
    from components.core.model_repository import reach

    problems: list[TrainyardError] = []
    if settings.repository:
        try:
            reach(settings.repository)
        except TrainyardError as error:
            problems.append(type(error)(f"repository: {error}"))
    if settings.triton_url:
        from components.triton_publish.server import Server

        try:
            Server(settings.triton_url).check()
        except TrainyardError as error:
            problems.append(type(error)(f"triton_url: {error}"))
    return problems


def publish(settings: PublishSettings, job: Job) -> None:
    """Reads `model` and `evaluation`; writes into the repository, and `published`.

    Raises:
        InputError: the model cannot be served, the evaluation is another model's, or the
            repository holds an incompatible model of this name.
        ServiceError: repository or server fail, or the server answers something else.
    """
    from components.triton_publish.publishing import run

    run(settings, job)


STAGE = Stage(
    name="triton_publish",
    settings=PublishSettings,
    function=publish,
    inputs={
        "model": "the trained model (ModelBundle)",
        "evaluation": "its evaluation, for the model card (Evaluation)",
    },
    outputs={"published": "where it was published, and its model card (Publication)"},
    external=True,
    check=check,
)
