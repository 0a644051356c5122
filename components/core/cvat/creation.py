"""New tasks of CVAT: all of one, or none."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

from components.core.annotation_tasks import Record
from components.core.cvat import background
from components.core.cvat.connection import Connection
from components.core.errors import InputError, ServiceError

Where = Literal["share", "upload", "cloud"]

SCORE = "score"
"""Attribute of labels that holds how sure a model is of a shape."""

UPLOAD_BYTES = 32 << 20
"""Of the files that one request sends; larger ones go in pieces."""

SHOWN = 10


def label_specs(labels: Iterable[str | Record], scores: bool = False) -> list[Record]:
    """Labels as a new task takes them.

    Args:
        labels: names, or records of another task, whose ids are left out.
        scores: adds a text attribute `score` to those that have none.
    """
    specs = []
    for label in labels:
        spec = _without_ids(label if isinstance(label, dict) else {"name": label})
        spec.setdefault("attributes", [])
        if scores and all(attribute["name"] != SCORE for attribute in spec["attributes"]):
            spec["attributes"].append(
                {
                    "name": SCORE,
                    "mutable": False,
                    "input_type": "text",
                    "default_value": "",
                    "values": [""],
                }
            )
        specs.append(spec)
    return specs


def created(
    connection: Connection,
    name: str,
    labels: Sequence[Record],
    files: Sequence[str | Path],
    where: Where,
    cloud_storage: int = 0,
) -> str:
    """Makes a task of images, in the given order; see Cvat.create_task."""
    problems = _problems(name, labels, files, where, cloud_storage)
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise InputError(f"task {name!r} cannot be made:\n{lines}")
    what = f"making task {name!r}"
    body = {"name": name, "labels": list(labels)}
    task = int(connection.json(what, "POST", "/api/tasks", body=body)["id"])
    try:
        _fill(connection, what, task, files, where, cloud_storage)
    except BaseException as error:
        left = _removed(connection, task)
        if left and isinstance(error, ServiceError):
            raise type(error)(f"{error}; {left}") from None
        raise
    return str(task)


def _fill(
    connection: Connection,
    what: str,
    task: int,
    files: Sequence[str | Path],
    where: Where,
    cloud_storage: int,
) -> None:
    path = f"/api/tasks/{task}/data/"
    data: dict[str, Any] = {
        "image_quality": 100,
        "use_cache": True,
        "sorting_method": "predefined",
    }
    advice = ""
    if where == "upload":
        answer = connection.run(what, lambda client: _uploaded(client, path, files, data))
    else:
        data |= {"server_files": [str(file) for file in files], "copy_data": False}
        advice = "are the files there on the share of the server, under these names?"
        if where == "cloud":
            data["cloud_storage_id"] = cloud_storage
            advice = f"are the files there in its cloud storage {cloud_storage}?"
        answer = connection.json(what, "POST", path, body=data)
    request = (answer or {}).get("rq_id")
    if request:
        background.finished(connection, what, request, advice)
    else:
        background.data_ready(connection, what, task, advice)


def _uploaded(client: Any, path: str, files: Sequence[str | Path], data: dict[str, Any]) -> Any:
    import json

    from cvat_sdk.core.uploading import DataUploader

    sdk = SimpleNamespace(api_client=client, logger=logging.getLogger("cvat_sdk"))
    uploader = DataUploader(sdk, max_request_size=UPLOAD_BYTES)
    url = client.configuration.host + path
    answer = uploader.upload_files(url, [Path(file) for file in files], **data)
    return json.loads(answer.data) if answer.data else None


def _removed(connection: Connection, task: int) -> str:
    """Takes a task away that could not be filled; says what to do where that fails too."""
    try:
        connection.json(f"removing task {task}", "DELETE", f"/api/tasks/{task}")
    except ServiceError as error:
        return f"task {task} was left behind without images, delete it in CVAT ({error})"
    return ""


def _problems(
    name: str,
    labels: Sequence[Record],
    files: Sequence[str | Path],
    where: str,
    cloud_storage: int,
) -> list[str]:
    problems = []
    if not name.strip() or len(name) > 256:
        problems.append(f"the name {name[:50]!r} is not of 1 to 256 characters")
    names = Counter(label["name"] for label in labels)
    if not names:
        problems.append("it has no labels; name at least one")
    problems += [f"label {label!r} is there twice" for label, count in names.items() if count > 1]
    if not files:
        problems.append("it has no files; name at least one")
    if where not in ("share", "upload", "cloud"):
        problems.append(f"where {where!r} is not accepted; expected share, upload or cloud")
    if (where == "cloud") != (cloud_storage > 0):
        problems.append(
            f"cloud_storage {cloud_storage} does not go with where {where!r}; it is the number of "
            "a cloud storage in CVAT for files that lie there, else 0"
        )
    return problems + (_upload_problems(files) if where == "upload" else _name_problems(files))


def _upload_problems(files: Sequence[str | Path]) -> list[str]:
    """CVAT calls what is uploaded by the name of the file, without its folder."""
    paths = [Path(file) for file in files]
    found = [f"{path} is no file" for path in paths if not path.is_file()]
    found += [
        f"{path} is a link to a file of another name ({path.resolve().name}), which CVAT would "
        "call it by; make it a file or a hard link"
        for path in paths
        if path.is_file() and path.resolve().name != path.name
    ]
    names = Counter(path.name for path in paths)
    found += [
        f"{count} files are called {name}; CVAT tells uploaded files apart by their names without "
        "folders: rename them, make a task per folder, or put them on the share"
        for name, count in names.items()
        if count > 1
    ]
    return _some(found)


def _name_problems(files: Sequence[str | Path]) -> list[str]:
    names = Counter(str(file) for file in files)
    found = [f"{name} is there {count} times" for name, count in names.items() if count > 1]
    found += [
        f"{name!r} is no path relative to the share or cloud storage"
        for name in names
        if not name or name.startswith("/") or ".." in name.split("/")
    ]
    return _some(found)


def _some(problems: list[str]) -> list[str]:
    rest = len(problems) - SHOWN
    return problems if rest <= 0 else [*problems[:SHOWN], f"and {rest} more such problems"]


def _without_ids(label: Record) -> Record:
    """A label as the user made it, without what the server adds."""
    kept = ("name", "color", "type", "svg")
    spec = {key: label[key] for key in kept if label.get(key)}
    spec["attributes"] = [
        {key: value for key, value in attribute.items() if key != "id"}
        for attribute in label.get("attributes") or []
    ]
    if label.get("sublabels"):
        spec["sublabels"] = [_without_ids(part) for part in label["sublabels"]]
    return spec
