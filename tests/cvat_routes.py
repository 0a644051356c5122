"""What the CVAT of the tests answers to which request; see cvat_server."""

from __future__ import annotations

import base64
import io
import json
import uuid
import zipfile
from dataclasses import dataclass
from email.parser import BytesParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from cvat_server import CvatServer

Record = dict[str, Any]

KINDS = ("tags", "shapes", "tracks")
FORMATS = ("CVAT for images 1.1", "CVAT for video 1.1", "COCO 1.0", "PASCAL VOC 1.1")


@dataclass
class Request:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class RefusalError(Exception):
    """An answer other than success."""

    status: int
    body: Any


def _task(server: CvatServer, number: str) -> Record:
    if int(number) in server.forbidden:
        raise RefusalError(403, {"detail": "You do not have permission to perform this action."})
    if int(number) not in server.tasks:
        raise RefusalError(404, {"detail": "No Task matches the given query."})
    return server.tasks[int(number)]


def _public(server: CvatServer, task: Record) -> Record:
    """A task as lists of them have it."""
    hidden = ("labels", "jobs", "images", "meta", *KINDS)
    record = {key: value for key, value in task.items() if key not in hidden}
    own = f"{server.url}/api"
    states = [job["state"] for job in task["jobs"]]
    record |= {
        "url": f"{own}/tasks/{task['id']}",
        "project_id": None,
        "subset": "",
        "dimension": "2d",
        "mode": task.get("mode", ""),
    }
    if server.old:
        jobs = [{k: v for k, v in job.items() if k != "state"} for job in task["jobs"]]
        return record | {"labels": task["labels"], "segments": [{"jobs": jobs}]}
    return record | {
        "labels": {"url": f"{own}/labels?task_id={task['id']}"},
        "jobs": {
            "count": len(states),
            "completed": states.count("completed"),
            "validation": 0,
            "url": f"{own}/jobs?task_id={task['id']}",
        },
    }


def _page(server: CvatServer, request: Request, records: list[Record]) -> tuple[int, Any]:
    number = int(request.query.get("page", 1))
    size = min(int(request.query.get("page_size", 10)), server.page_limit)
    found = records[(number - 1) * size : number * size]
    if not found and number > 1:
        raise RefusalError(404, {"detail": "Invalid page."})
    # Behind a proxy these links name a host that clients cannot reach.
    link = f"http://cvat_server:8080{request.path}?page="
    more = number * size < len(records)
    return 200, {
        "count": len(records),
        "next": f"{link}{number + 1}" if more else None,
        "previous": f"{link}{number - 1}" if number > 1 else None,
        "results": found,
    }


def _list_tasks(server: CvatServer, request: Request) -> tuple[int, Any]:
    tasks = sorted(server.tasks.values(), key=lambda task: task["id"])
    if request.query.get("sort") != "id":
        tasks.reverse()
    visible = [_public(server, task) for task in tasks if task["id"] not in server.forbidden]
    return _page(server, request, visible)


def _create_task(server: CvatServer, request: Request) -> tuple[int, Any]:
    names = [label["name"] for label in request.json["labels"]]
    if len(names) != len(set(names)):
        raise RefusalError(400, {"labels": ["All label names must be unique"]})
    return 201, _public(server, server.new_task(request.json))


def _delete_task(server: CvatServer, request: Request, number: str) -> tuple[int, Any]:
    _task(server, number)
    del server.tasks[int(number)]
    return 204, None


def _labels(server: CvatServer, request: Request) -> tuple[int, Any]:
    task = server.tasks.get(int(request.query["task_id"]))
    if server.old:
        raise RefusalError(404, {"detail": "Not found."})
    labels = task["labels"] if task else []
    parts = [part for label in labels for part in label["sublabels"]]
    return _page(server, request, [*parts, *reversed(labels)])


def _meta(server: CvatServer, request: Request, number: str) -> tuple[int, Any]:
    task = _task(server, number)
    if "meta" not in task:
        raise RefusalError(404, {"detail": "Cannot find requested data"})
    return 200, task["meta"]


def _frame(server: CvatServer, request: Request, number: str) -> tuple[int, Any]:
    task = _task(server, number)
    at = int(request.query["number"])
    if request.query["type"] != "frame" or not 0 <= at < task["size"]:
        raise RefusalError(400, ["The frame number doesn't exist"])
    if at not in task["images"]:
        frames = task["meta"]["frames"]
        frame = frames[min(at, len(frames) - 1)]
        content = io.BytesIO()
        Image.new("RGB", (frame["width"], frame["height"])).save(content, "PNG")
        task["images"][at] = content.getvalue()
    return 200, task["images"][at]


def _get_annotations(server: CvatServer, request: Request, number: str) -> tuple[int, Any]:
    return 200, {"version": 0, **{kind: _task(server, number)[kind] for kind in KINDS}}


def _change_annotations(server: CvatServer, request: Request, number: str) -> tuple[int, Any]:
    task, action = _task(server, number), request.query.get("action", "")
    if request.method == "PATCH" and action not in ("create", "update", "delete"):
        raise RefusalError(400, ["Please specify a correct 'action' for the request"])
    before = {kind: list(task[kind]) for kind in KINDS}
    answer: Record = {"version": 0}
    try:
        for kind in KINDS:
            given = request.json.get(kind, [])
            if request.method == "PUT":
                task[kind] = []
            if action in ("update", "delete"):
                gone = {record["id"] for record in given}
                task[kind] = [record for record in task[kind] if record["id"] not in gone]
            if action == "delete":
                answer[kind] = given
                continue
            made = (server.draw(task, kind, record) for record in given)
            answer[kind] = [record for record in made if record is not None]
    except RefusalError:
        task |= before
        raise
    task["updated_date"] = "2024-05-03T08:00:00.000000Z"
    return 200, answer


def _upload(server: CvatServer, request: Request, number: str) -> tuple[int, Any] | tuple[Any, ...]:
    task = _task(server, number)
    upload = server.uploads.setdefault(number, {"files": {}, "open": {}})
    headers = {name.lower(): value for name, value in request.headers.items()}
    if "upload-start" in headers:
        return 202, None
    if "upload-length" in headers:  # TUS, for large files
        pairs = dict(pair.split(" ") for pair in headers["upload-metadata"].split(","))
        name = base64.b64decode(pairs["filename"]).decode()
        key = uuid.uuid4().hex
        upload["open"][key] = {"name": name, "size": int(headers["upload-length"]), "data": b""}
        location = f"{server.url}/api/tasks/{number}/data/{key}"
        return 201, None, [("Location", location), ("Upload-Filename", name)]
    if "upload-multiple" in headers:
        upload["files"] |= _multipart(request)
        return 200, None
    data = request.json
    if "upload-finish" in headers:
        names = data["upload_file_order"]
        sizes = [Image.open(io.BytesIO(upload["files"][name])).size for name in names]
        task["images"] = {at: upload["files"][name] for at, name in enumerate(names)}
    else:
        names = data["server_files"]
        paths = [(server.share or Path()) / name for name in names]
        missing = [name for name, path in zip(names, paths, strict=True) if not path.is_file()]
        if missing:
            server.failure = f"FileNotFoundError: No such file: /home/django/share/{missing[0]}"
        sizes = [Image.open(path).size if path.is_file() else (0, 0) for path in paths]
        task["images"] = {i: p.read_bytes() for i, p in enumerate(paths) if p.is_file()}
    if data.get("sorting_method") != "predefined":
        names = sorted(names)
    frames = [(name, *size) for name, size in zip(names, sizes, strict=True)]
    server.fill(task, frames, 0, 1, {})
    work = server.start({"type": "create"})
    task["work"] = work
    return 202, None if server.old else {"rq_id": work}


def _multipart(request: Request) -> dict[str, bytes]:
    """Name without folder → content of the files in a form."""
    kind = next(v for k, v in request.headers.items() if k.lower() == "content-type")
    message = BytesParser().parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + request.body)
    parts = ((part.get_filename(), part.get_payload(decode=True)) for part in message.get_payload())
    return {Path(name).name: content for name, content in parts if name}


def _upload_piece(
    server: CvatServer, request: Request, number: str, key: str
) -> tuple[int, Any] | tuple[Any, ...]:
    upload = server.uploads[number]
    file = upload["open"][key]
    if request.method == "PATCH":
        headers = {name.lower(): value for name, value in request.headers.items()}
        if int(headers["upload-offset"]) != len(file["data"]):
            raise RefusalError(409, None)
        file["data"] += request.body
        if len(file["data"]) == file["size"]:
            upload["files"][file["name"]] = file["data"]
    return 204 if request.method == "PATCH" else 200, None, [
        ("Upload-Offset", str(len(file["data"])))
    ]  # fmt: skip


def _status(server: CvatServer, request: Request, number: str) -> tuple[int, Any]:
    found = server.look(_task(server, number)["work"])
    return 200, {"state": found["status"].capitalize(), "message": found["message"]}


def _request(server: CvatServer, request: Request, number: str) -> tuple[int, Any]:
    if number not in server.work or server.old:
        raise RefusalError(404, {"detail": "Not found."})
    return 200, server.look(number)


def _jobs(server: CvatServer, request: Request) -> tuple[int, Any]:
    task = server.tasks.get(int(request.query["task_id"]))
    jobs = task["jobs"] if task else []
    if server.old:
        jobs = [{k: v for k, v in job.items() if k not in ("state", "stage")} for job in jobs]
    return _page(server, request, jobs)


def _change_job(server: CvatServer, request: Request, number: str) -> tuple[int, Any]:
    every = [(task, job) for task in server.tasks.values() for job in task["jobs"]]
    for task, job in every:
        if job["id"] == int(number):
            job |= request.json
            if not server.old:
                both = job["state"] == "completed" and job["stage"] == "acceptance"
                job["status"] = "completed" if both else job["status"]
            if all(own["status"] == "completed" for own in task["jobs"]):
                task["status"] = "completed"
            return 200, job
    raise RefusalError(404, {"detail": "No Job matches the given query."})


def _export(server: CvatServer, request: Request, number: str, kind: str) -> tuple[int, Any]:
    _task(server, number)
    if server.old:
        raise RefusalError(404, {"detail": "Not found."})
    if kind == "dataset" and request.query["format"] not in FORMATS:
        raise RefusalError(400, ["Unknown format specified for the request"])
    # Named by the host that the server takes itself for.
    place = f"http://cvat_server:8080/api/tasks/{number}/{kind}/download"
    work = server.start({"type": "export"})
    server.work[work]["result"] = f"{place}?rq_id={work.partition('&id=')[2]}"
    return 202, {"rq_id": work}


def _download(server: CvatServer, request: Request, number: str, kind: str) -> tuple[int, Any]:
    assert any(work.endswith(request.query["rq_id"]) for work in server.work)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("annotations.xml" if kind == "dataset" else "task.json", "<annotations/>")
        for at, image in server.tasks[int(number)]["images"].items():
            archive.writestr(f"images/{at}", image)
    return 200, content.getvalue()


ROUTES = [
    (r"GET /api/users/self", lambda server, request: (200, {"id": 1})),
    (r"GET /api/tasks", _list_tasks),
    (r"POST /api/tasks", _create_task),
    (r"GET /api/tasks/(\d+)", lambda server, request, n: (200, _public(server, _task(server, n)))),
    (r"DELETE /api/tasks/(\d+)", _delete_task),
    (r"GET /api/labels", _labels),
    (r"GET /api/tasks/(\d+)/data/meta", _meta),
    (r"GET /api/tasks/(\d+)/data", _frame),
    (r"POST /api/tasks/(\d+)/data", _upload),
    (r"(?:PATCH|HEAD) /api/tasks/(\d+)/data/(\w+)", _upload_piece),
    (r"GET /api/tasks/(\d+)/annotations", _get_annotations),
    (r"(?:PATCH|PUT) /api/tasks/(\d+)/annotations", _change_annotations),
    (r"GET /api/tasks/(\d+)/status", _status),
    (r"GET /api/requests/(.+)", _request),
    (r"GET /api/jobs", _jobs),
    (r"PATCH /api/jobs/(\d+)", _change_job),
    (r"POST /api/tasks/(\d+)/(dataset|backup)/export", _export),
    (r"GET /api/tasks/(\d+)/(dataset|backup)/download", _download),
]
