"""An experiment of a TAO project: what is trained, with which weights, data and specifications."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from components.core.errors import InputError, SettingsError
from components.core.formats.reading import text_of
from components.core.tao import specs
from components.core.tao.heads import HEADS, Head
from components.core.tao.key import VARIABLE, Key
from components.core.tao.layout import Layout

EXPORT_TYPES = ("fp32", "fp16", "int8")

TASK_SPECS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "convert": ("convert",),
        "train": ("train",),
        "evaluate": ("evaluate", "train"),
        "prune": ("prune", "train"),
        "retrain": ("retrain", "train"),
        "inference": ("inference", "infer", "evaluate", "train"),
        "export": ("export", "train"),
        "engine": ("engine", "gen_trt_engine", "export", "train"),
    }
)
"""Task → names of the file with its specification, without suffix: the first that is there."""


@dataclass(frozen=True)
class Rendered:
    """A specification with its placeholders put in, read and found to be in its format."""

    source: Path
    """The user's file."""
    text: str
    tree: specs.SpecTree


@dataclass(frozen=True)
class Experiment:
    """One entry of experiments.yml."""

    name: str
    project: str
    head: str
    backbone: str
    repository: str
    """Folder of the pretrained weights, below `repositories`."""
    dataset: str
    """Below `data`."""
    export_model: str
    """Name of the checkpoint to export, without suffix; '' to choose it by its figures."""
    export_type: str
    """One of EXPORT_TYPES."""
    gpus: int
    gpu_indices: tuple[int, ...]
    """Of the host, () for any; inside a pod GPUs count from 0."""
    release: str
    """Tag of NVIDIA's image, '' for the default of the head's framework."""
    pretrained_model: str
    """File of the weights where several are in their folder, or below `repositories`."""
    layout: Layout
    model_key: Key = field(default_factory=Key)
    key_problems: tuple[str, ...] = ()
    """Why there is no key, of interest to tasks that need one."""
    where: str = ""
    """File and line of the entry."""

    @property
    def known_head(self) -> Head:
        """What is known about the head."""
        return HEADS[self.head]

    @property
    def data(self) -> Path:
        """Folder of the data set."""
        return self.layout.data(self.dataset)

    @property
    def records(self) -> Path:
        """Where the project keeps the converted data."""
        return self.layout.records(self.dataset, self.name)

    @property
    def models(self) -> Path:
        """Where the project keeps the results."""
        return self.layout.models(self.name)

    def with_model(self, export_model: str) -> Experiment:
        """The experiment with another checkpoint to export."""
        return replace(self, export_model=stem(export_model))

    def pretrained(self) -> Path:
        """The file of the pretrained weights.

        Raises:
            InputError: there is none, or it cannot be told which.
        """
        if not self.pretrained_model:
            if not self.repository or not self.backbone:
                raise InputError(
                    f"{self.where}: $pretrained_model needs repository and backbone of "
                    f"{self.name}, the names of a folder below {self.layout.repositories}"
                )
            return self.layout.pretrained(self.repository, self.backbone)
        folder = self.layout.repositories
        places = [folder / self.repository, folder]
        if self.repository:
            places.insert(0, places[0] / f"{self.repository}_v{self.backbone}")
        for place in places:
            if (place / self.pretrained_model).is_file():
                return place / self.pretrained_model
        looked = ", ".join(str(place) for place in dict.fromkeys(places))
        raise InputError(
            f"{self.where}: pretrained_model {self.pretrained_model!r} of {self.name} is in none "
            f"of {looked}"
        )

    def spec(self, task: str) -> Path:
        """The user's file with the specification of a task, one of TASK_SPECS.

        Raises:
            InputError: there is none, or two of one name.
        """
        folder = self.layout.specs(self.name)
        names = self._stems(task)
        for name in names:
            places = [folder / f"{name}{suffix}" for suffix in specs.SUFFIXES]
            found = [place for place in places if place.is_file()]
            if len(found) > 1:
                listed = " and ".join(path.name for path in found)
                raise InputError(f"{folder} holds {listed}: keep one of them")
            if found:
                return found[0]
        raise InputError(
            f"{folder} holds no {names[0]}.txt or {names[0]}.yaml, the specification for {task} of "
            f"{self.name}; NVIDIA's samples are a start"
        )

    def values(
        self, records: Path | None = None, more: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """What the placeholders stand for, all but $pretrained_model, which may be missing.

        Args:
            records: folder of the converted data; by default the project's own.
            more: further placeholders, or other values.
        """
        converted = str(records or self.records)
        return {
            "experiment": self.name,
            "project": self.project,
            "dataset": str(self.data),
            "dataset_raw": str(self.data),
            "tfrecords": converted,
            "dataset_tfrecord": converted,
            "specs": str(self.layout.specs(self.name)),
            **(more or {}),
        }

    def rendered(
        self, task: str, records: Path | None = None, more: Mapping[str, str] | None = None
    ) -> Rendered:
        """The specification of a task; arguments as of `values`.

        Paths of TAO's container that `.tao_mounts.json` knows become those of this machine.

        Raises:
            InputError: no such file, no pretrained weights, or a text that is not in its format.
            SettingsError: unknown placeholders.
        """
        source = self.spec(task)
        text = text_of(source)
        values = self.values(records, more)
        if "pretrained_model" in specs.placeholders(text) and "pretrained_model" not in values:
            values["pretrained_model"] = str(self.pretrained())
        elif "pretrained_model" not in values:
            values["pretrained_model"] = "$pretrained_model"
        made = specs.render(text, values, str(source))
        made = self.layout.mounts.here(made, self.layout.places)
        return Rendered(source, made, specs.parse(made, source))

    def problems(self, tasks: Iterable[str]) -> list[str]:
        """Everything that keeps tasks of TASK_SPECS from being started."""
        found: list[str] = []
        if not self.data.is_dir():
            found.append(f"{self.where}: the data set {self.data} of {self.name} is no folder")
        if self.known_head.framework == "tf1" and not self.model_key:
            text = f"{self.name} has no model key: set {VARIABLE} (on a cluster a Secret does)"
            found += self.key_problems or [f"{self.where}: {text}"]
        for task in tasks:
            try:
                if task == "train" and self.known_head.pretrained == "argument" and self.repository:
                    self.pretrained()
                self.rendered(task)
            except SettingsError as error:
                found += error.problems
            except InputError as error:
                found.append(str(error))
        return list(dict.fromkeys(found))

    def _stems(self, task: str) -> tuple[str, ...]:
        stems = TASK_SPECS[task]
        # One YAML file may hold all tasks.
        return (*stems, "train") if self.known_head.framework == "tf2" else stems


def stem(name: str) -> str:
    """A checkpoint's name without suffix."""
    for suffix in (".tlt", ".hdf5", ".pth", ".etlt", ".onnx"):
        name = name.removesuffix(suffix)
    return name
