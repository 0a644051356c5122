"""Publishes a trained model into a Triton model repository.

Writes `<model>/<version>/model.savedmodel`, `model.onnx` or `model.plan` with `config.pbtxt`,
labels, a model card and, of clips, `<model>.config`; the next free version appears whole, earlier
ones stay. The same model is never published twice. With `triton_url` a running server loads it, and
its answer is compared.
"""

from __future__ import annotations

from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from components.core.credentials import holds_credentials
from components.core.errors import TrainyardError
from components.core.formats.triton import Instances, name_problem
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
    serve_as: Literal["auto", "onnx", "savedmodel", "tensorrt"] = Field(
        "auto",
        description="Format to serve: auto takes a SavedModel or TensorRT engine where the model "
        "has one; NVIDIA's servers newer than 25.02 need onnx instead of a SavedModel",
    )
    keep_versions: int = Field(
        0, ge=0, description="Newest versions to keep, older ones are removed; 0 keeps all"
    )
    max_batch_size: int = Field(8, ge=1, description="Largest batch that the server may form")
    instances: int = Field(
        0,
        ge=0,
        description="Copies of the model per GPU, or on the CPU; 0 leaves it to the server",
    )
    instance_kind: Literal["auto", "gpu", "cpu"] = Field(
        "auto", description="Where the copies run: auto is a GPU where the server has one"
    )
    instance_gpus: list[int] = Field(
        [], description="Numbers of the GPUs that run copies; [] for every one"
    )
    triton_url: str = Field(
        "",
        description="Server that loads the model and is compared with it (http://host:8000)",
    )
    triton_timeout: float = Field(
        120.0, gt=0, description="Seconds that the server may take to load the model"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = []
        if self.model_name and (problem := name_problem(self.model_name)):
            problems.append(problem)
        if self.triton_url:
            parts = urlsplit(self.triton_url)
            if holds_credentials(self.triton_url):
                problems.append(
                    "triton_url: it holds credentials, which Triton does not ask for and others "
                    "could read; leave them out, as in http://host:port"
                )
            elif parts.scheme not in ("http", "https") or not parts.netloc:
                problems.append(
                    f"triton_url: got {self.triton_url!r}, accepted is http://host:port or "
                    "https://host"
                )
            if not self.repository:
                problems.append(
                    "triton_url: a server can only load from a repository that it serves; set "
                    "repository to it"
                )
        problems += self.placing.problems()
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def placing(self) -> Instances:
        """How many copies of the model run where."""
        return Instances(self.instances, self.instance_kind, tuple(self.instance_gpus))


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
        TrainyardError: TensorFlow is missing for a SavedModel, or an export went wrong.
    """
    from components.triton_publish.publishing import run

    run(settings, job)


STAGE = Stage(
    name="triton_publish",
    settings=PublishSettings,
    function=publish,
    inputs={
        "model": "the trained model (ModelBundle)",
        "evaluation": "its evaluation, for the model card (Evaluation, DetectionEvaluation or "
        "TaoEvaluation)",
        "task": "Task whose settings take the place of those given (optional)",
    },
    outputs={"published": "where it was published, and its model card (Publication)"},
    external=True,
    check=check,
)
