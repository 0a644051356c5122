"""What all artifacts share: an index file with schema, version and fingerprint; location.json."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from components.core import files
from components.core.errors import InputError

LOCATION = "location.json"


class Index(BaseModel):
    """The index file of an artifact directory. Subclasses set SCHEMA, VERSION and FILE."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    SCHEMA: ClassVar[str]
    VERSION: ClassVar[int] = 1
    FILE: ClassVar[str] = "index.json"

    fingerprint: str
    """SHA-256 (hex) that changes whenever the content of the artifact changes."""

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Reads and validates the index of an artifact directory.

        Raises:
            InputError: not such a directory, another schema or version, or a damaged index.
        """
        content = read_index(directory)
        found = content.pop("schema", None), content.pop("schema_version", None)
        if found != (cls.SCHEMA, cls.VERSION):
            raise InputError(
                f"{directory} holds {found[0]!r} version {found[1]}, "
                f"but {cls.SCHEMA!r} version {cls.VERSION} is needed"
            )
        try:
            return cls(**content)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise InputError(f"{directory}: damaged index, {where}: {first['msg']}") from None

    def save(self, directory: Path) -> None:
        """Writes the index; call it last, when everything it lists is in place."""
        content = {"schema": self.SCHEMA, "schema_version": self.VERSION}
        files.write_json(directory / self.FILE, {**content, **self.model_dump(mode="json")})


INDEX_FILES = ("index.json", "model.json", "study.json")


def read_index(directory: Path) -> dict[str, Any]:
    """The parsed index file of an artifact directory, whatever its schema.

    Raises:
        InputError: the directory or its index is absent or not JSON.
    """
    if not directory.is_dir():
        raise InputError(
            f"{directory} is not a directory; expected an artifact of an earlier stage"
        )
    for name in INDEX_FILES:
        path = directory / name
        if path.is_file():
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                raise InputError(f"{path} is damaged: {error}") from None
            if isinstance(content, dict):
                return content
            raise InputError(f"{path} is damaged: expected a JSON object")
    raise InputError(f"{directory} holds no {' or '.join(INDEX_FILES)}; it is not an artifact")


def resolve(directory: Path) -> Path:
    """Follows a `location.json`; any other directory is returned as it is.

    Raises:
        InputError: the location is damaged or not reachable from here.
    """
    pointer = directory / LOCATION
    if not pointer.is_file():
        return directory
    try:
        uri = str(json.loads(pointer.read_text(encoding="utf-8"))["uri"])
    except (json.JSONDecodeError, KeyError, TypeError):
        raise InputError(f'{pointer} is damaged: expected {{"uri": "..."}}') from None
    target = Path(uri)
    if not target.is_dir():
        raise InputError(
            f"{pointer} points to {uri}, which is not a directory here; "
            "mount the volume that holds it, or compile the pipeline with copied artifacts"
        )
    return target


def write_location(directory: Path, uri: str, fingerprint: str = "") -> None:
    """Writes a directory that only points to where the data lies (volume path)."""
    directory.mkdir(parents=True, exist_ok=True)
    files.write_json(directory / LOCATION, {"uri": uri, "fingerprint": fingerprint})


def fingerprint(directory: Path) -> str:
    """The content fingerprint of an artifact directory.

    Raises:
        InputError: the directory is not an artifact.
    """
    value = read_index(resolve(directory)).get("fingerprint")
    if not isinstance(value, str) or not value:
        raise InputError(f"{directory}: the index holds no fingerprint")
    return value


def content(path: Path) -> str:
    """What identifies the content of a file or an artifact directory; '' where neither is."""
    if path.is_file():
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return fingerprint(path) if path.is_dir() else ""
