"""A Triton model repository in a folder or bucket: versions of one model."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core import files
from components.core.errors import InputError
from components.core.formats import triton
from components.core.storage import Storage, is_s3, open_storage

GRAPHS = tuple(served.last for served in triton.FORMATS.values())
"""Files of which one says that a version is complete: it appears last and is removed first."""

CARD = "model_card.json"
ABANDONED_SECONDS = 3600.0


@dataclass(frozen=True)
class Version:
    """One version that a repository holds."""

    number: int
    complete: bool
    """False: a publication into a bucket was interrupted."""
    graph: str
    """Which of GRAPHS it holds; '' for none."""
    bundle: str
    """Fingerprint of the bundle it was published from; '' if not published by us."""
    data: str = ""
    """Fingerprint of the clips, images or frames it was trained on; '' where its card does not
    tell."""


def reach(uri: str) -> None:
    """Makes sure within seconds that a repository can be used; it may be empty or absent.

    Raises:
        InputError: a folder that is a file, or a bucket that does not exist.
        ServiceError: the object store cannot be reached, or refuses.
    """
    storage = open_storage(uri)
    if not is_s3(uri):
        if problem := files.place_problem(Path(storage.uri)):
            raise InputError(problem)
        return
    try:
        storage.check()
    except InputError:
        # Empty is fine here, and a missing bucket fails again.
        next(iter(storage.items()), None)


def graph_in(names: set[str]) -> str:
    """The one of GRAPHS that is among the files of a version; '' for none."""
    return next((graph for graph in GRAPHS if graph in names), "")


class ModelRepository:
    """What a repository holds of one model."""

    def __init__(self, uri: str, model: str) -> None:
        self.storage: Storage = open_storage(uri)
        self.model = model

    def versions(self) -> list[Version]:
        """All versions, oldest first."""
        names: dict[int, set[str]] = {}
        for number, name in self._entries():
            names.setdefault(number, set()).add(name)
        return [self._version(number, found) for number, found in sorted(names.items())]

    def other_classes(self, classes: list[str]) -> str:
        """What a model with these classes would break; '' where it can be published.

        Args:
            classes: in the order of the model's outputs.
        """
        labels = self._read(triton.LABELS)
        there = (labels or "").splitlines()
        if labels is None or there == classes:
            return ""
        return (
            f"{self.storage.uri}/{self.model} tells {', '.join(there)} apart, in this order, and "
            f"this model would tell {', '.join(classes)}, so clients of it would break; publish "
            "under another model_name"
        )

    def prepare(self, config: triton.ModelConfig, labels: str, work: Path) -> None:
        """Puts configuration and labels in place, before the first version that needs them.

        Raises:
            InputError: the model of this name has other inputs, outputs, classes or backend.
        """
        text, old_labels = self._read(triton.CONFIG), self._read(triton.LABELS)
        where = f"{self.storage.uri}/{self.model}"
        problems = []
        if text is not None:
            existing = triton.parse_config(text, f"{where}/{triton.CONFIG}")
            problems = triton.differences(existing, config)
            config = triton.merged(existing, config)
        elif any(version.complete for version in self.versions()):
            problems.append(f"it has versions but no {triton.CONFIG}")
        if old_labels is not None and old_labels.split("\n") != labels.split("\n"):
            problems.append("its labels are others, or in another order")
        if problems:
            raise InputError(
                "\n  - ".join(
                    [
                        f"{where} is another model, so clients of it would break; nothing was "
                        "changed. Publish under another model_name. What differs:",
                        *problems,
                    ]
                )
            )
        if old_labels is None:
            self._put(triton.LABELS, labels, work)
        if text is None or triton.parse_config(text, where) != config:
            self._put(triton.CONFIG, triton.config_text(config), work)

    def add(self, content: Path) -> int:
        """Publishes a version directory under the next free number; returns it.

        Raises:
            InputError: `content` is no version, or other publishers keep taking the numbers.
        """
        last = graph_in({name for name in GRAPHS if (content / name).is_file()})
        if not last:
            raise InputError(f"{content} holds no model: none of {', '.join(GRAPHS)}")
        self._clear_abandoned()
        for _ in range(20):
            # A number whose publication was interrupted is free: storage replaces the leftover.
            taken = [version.number for version in self.versions() if version.complete]
            number = max(taken, default=0) + 1
            try:
                self.storage.publish(content, f"{self.model}/{number}", last)
            except InputError:
                if number not in [v.number for v in self.versions() if v.complete]:
                    raise
                continue  # somebody else was faster
            return number
        raise InputError(
            f"{self.storage.uri}/{self.model}: other processes keep publishing here; try again"
        )

    def remove_old(self, keep: int, spare: int) -> list[int]:
        """Removes complete versions older than the newest `keep`, never `spare`; returns them."""
        complete = [version for version in self.versions() if version.complete]
        doomed = [old for old in complete[:-keep] if old.number != spare] if keep else []
        for old in doomed:
            self.storage.remove(f"{self.model}/{old.number}", first=old.graph)
        return [old.number for old in doomed]

    def _entries(self) -> Iterator[tuple[int, str]]:
        for item in self.storage.items(self.model):
            parts = item.name.rstrip("/").split("/")
            if len(parts) > 1 and parts[1].isdecimal():
                yield int(parts[1]), "/".join(parts[2:])

    def _version(self, number: int, names: set[str]) -> Version:
        card = self._card(number) if CARD in names else {}
        told = card.get("data")
        data = told if isinstance(told, dict) else {}
        graph = graph_in(names)
        # The card need not be the first file that arrived.
        ours = bool(names & {CARD, f"{self.model}.config"})
        return Version(
            number,
            complete=bool(graph) or not ours,
            graph=graph,
            bundle=str(card.get("fingerprint", "")),
            data=str(data.get("clips") or data.get("images") or data.get("frames") or ""),
        )

    def _card(self, number: int) -> dict[str, Any]:
        """The model card of a version; empty where it cannot be read as one."""
        try:
            content = json.loads(self._read(f"{number}/{CARD}") or "{}")
        except ValueError:
            return {}
        return content if isinstance(content, dict) else {}

    def _read(self, name: str) -> str | None:
        path = f"{self.model}/{name}"
        return self.storage.read(path).decode("utf-8") if self.storage.exists(path) else None

    def _put(self, name: str, text: str, work: Path) -> None:
        source = work / name
        files.write_text(source, text)
        self.storage.put(source, f"{self.model}/{name}")

    def _clear_abandoned(self) -> None:
        """Removes what killed publications left beside the versions of a folder repository."""
        folder = Path(self.storage.uri) / self.model
        if is_s3(self.storage.uri) or not folder.is_dir():
            return
        for entry in folder.iterdir():
            old = time.time() - entry.stat().st_mtime > ABANDONED_SECONDS
            if files.PARTIAL in entry.name and old:
                files.remove(entry)
