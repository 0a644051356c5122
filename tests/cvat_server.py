"""A small CVAT on a loopback port, in the shapes of server API 2.x as recorded in CVAT's own tests.

    with running_cvat(share=folder) as server:
        task = server.add_task("field 1", ["weed"], [("a.png", 64, 48)], shapes=[...])
        ...                                     # the code under test, in server.environment
        assert server.count("PATCH", "/annotations") == 1

Tasks live in memory, frames are blank PNG files unless given, work in the background is done as
soon as it has been asked for `polls` times. Answers can be made to fail with `fail`.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from cvat_routes import KINDS, ROUTES, Record, RefusalError, Request

USERNAME, PASSWORD, TOKEN = "annotator", "do-not-print-me", "token-do-not-print-me"


@dataclass
class Fault:
    """How the next matching requests are answered."""

    status: int
    """0 ends the connection without an answer."""
    times: int
    method: str
    path: str
    headers: dict[str, str]
    done: bool
    """Whether the request is carried out nonetheless."""


@dataclass
class CvatServer:
    """What is on the server, what it was asked, and how it behaves."""

    url: str
    share: Path | None = None
    """Where `server_files` lie."""
    version: str = "2.31.0"
    old: bool = False
    """Behaves as early servers of 2.x: labels in the task, no background requests, no states."""
    page_limit: int = 100
    polls: int = 1
    """How often work in the background is asked for before it is done."""
    stuck: bool = False
    """Work in the background is never done."""
    failure: str = ""
    """Work in the background fails with this message."""
    forbidden: set[int] = field(default_factory=set)
    """Tasks that the user may not touch."""
    organization: str = ""
    """The only one that there is."""
    tasks: dict[int, Record] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    sessions: dict[str, str] = field(default_factory=dict)
    """Session → its CSRF token."""
    work: dict[str, Record] = field(default_factory=dict)
    """Background requests."""
    uploads: dict[str, Record] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 1_000_000)))
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def environment(self) -> dict[str, str]:
        """Variables for the code under test."""
        return {
            "TRAINYARD_CVAT_URL": self.url,
            "TRAINYARD_CVAT_USERNAME": USERNAME,
            "TRAINYARD_CVAT_PASSWORD": PASSWORD,
        }

    def add_task(
        self,
        name: str,
        labels: Iterable[str | Mapping[str, Any]],
        frames: Sequence[tuple[str, int, int]],
        shapes: Iterable[Mapping[str, Any]] = (),
        tracks: Iterable[Mapping[str, Any]] = (),
        tags: Iterable[Mapping[str, Any]] = (),
        status: str = "annotation",
        images: Mapping[int, bytes] | None = None,
        video: int = 0,
        jobs: int = 1,
        updated: str = "2024-05-02T08:00:00.000000Z",
        **more: Any,
    ) -> int:
        """Adds a task; returns its number.

        Args:
            name: need not be unique.
            labels: names, or records without ids.
            frames: name, width and height; of a video, its one file.
            shapes: records; `label` may name what `label_id` numbers.
            tracks: as above.
            tags: as above.
            status: `completed` completes its jobs.
            images: content of frames.
            video: number of frames in the video; 0 for images.
            jobs: that the frames are divided among.
            updated: ISO 8601.
            more: start_frame, stop_frame, frame_filter, deleted_frames, job_states.
        """
        task = self.new_task({"name": name, "labels": labels})
        task |= {"updated_date": updated, "images": dict(images or {})}
        self.fill(task, frames, video, jobs, more)
        for job in task["jobs"]:
            if status == "completed":
                job |= {"state": "completed", "stage": "acceptance", "status": "completed"}
        for job, state in zip(task["jobs"], more.get("job_states", ()), strict=False):
            job["state"] = state
        task["status"] = status
        drawn = {"shapes": shapes, "tracks": tracks, "tags": tags}
        known = {label["name"]: label["id"] for label in task["labels"]}
        for kind, own in drawn.items():
            for record in own:
                plain = {key: value for key, value in record.items() if key != "label"}
                if "label" in record:
                    plain["label_id"] = known[record["label"]]
                self.draw(task, kind, plain)
        return int(task["id"])

    def fail(
        self,
        status: int,
        times: int = 1,
        method: str = "",
        path: str = "",
        headers: Mapping[str, str] | None = None,
        done: bool = False,
    ) -> None:
        """Answers the next requests of this method and with this in their path with `status`."""
        self.faults.append(Fault(status, times, method, path, dict(headers or {}), done))

    def asked(self, method: str = "", path: str = "") -> list[Request]:
        """The requests of this method and with this in their path."""
        return [r for r in self.requests if method in ("", r.method) and path in r.path]

    def count(self, method: str = "", path: str = "") -> int:
        """How many there were."""
        return len(self.asked(method, path))

    def annotations(self, task: int) -> Record:
        """What is drawn in a task."""
        return {kind: self.tasks[task][kind] for kind in KINDS}

    def new_task(self, body: Record) -> Record:
        task: Record = {
            "id": next(self.numbers),
            "name": body["name"],
            "status": "annotation",
            "created_date": "2024-05-01T08:00:00.000000Z",
            "updated_date": "2024-05-01T08:00:00.000000Z",
            "labels": [self._label(label) for label in body["labels"]],
            "jobs": [],
            "images": {},
            "data": None,
            "size": 0,
            **{kind: [] for kind in KINDS},
        }
        self.tasks[task["id"]] = task
        return task

    def _label(self, given: str | Mapping[str, Any]) -> Record:
        label = dict(given) if isinstance(given, Mapping) else {"name": given}
        label |= {"id": next(self.numbers), "color": "#fa3253", "has_parent": False}
        label.setdefault("type", "any")
        attributes = [{**one, "id": next(self.numbers)} for one in label.get("attributes") or []]
        parts = [self._label(part) | {"has_parent": True} for part in label.get("sublabels", [])]
        return {**label, "attributes": attributes, "sublabels": parts, "parent_id": None}

    def fill(
        self, task: Record, frames: Sequence[Any], video: int, jobs: int, more: Mapping[str, Any]
    ) -> None:
        size = video or len(frames)
        task |= {"size": size, "data": task["id"], "jobs": []}
        task["mode"] = "interpolation" if video else "annotation"
        task["meta"] = {
            "chunk_size": 72,
            "size": size,
            "image_quality": 70,
            "start_frame": more.get("start_frame", 0),
            "stop_frame": more.get("stop_frame", size - 1),
            "frame_filter": more.get("frame_filter", ""),
            "deleted_frames": list(more.get("deleted_frames", ())),
            "included_frames": None,
            "frames": [
                {"name": n, "width": w, "height": h, "related_files": 0} for n, w, h in frames
            ],
        }
        length = -(-size // jobs)
        for start in range(0, size, length):
            task["jobs"].append(
                {
                    "id": next(self.numbers),
                    "task_id": task["id"],
                    "type": "annotation",
                    "start_frame": start,
                    "stop_frame": min(start + length, size) - 1,
                    "stage": "annotation",
                    "state": "new",
                    "status": "annotation",
                }
            )

    def draw(self, task: Record, kind: str, given: Mapping[str, Any]) -> Record | None:
        """Adds one annotation as the server does; None where no job has its frame."""
        if not any(
            job["start_frame"] <= given["frame"] <= job["stop_frame"] for job in task["jobs"]
        ):
            return None
        labels = {label["id"]: label for label in task["labels"]}
        if given["label_id"] not in labels:
            raise RefusalError(400, [f"label_id `{given['label_id']}` is invalid"])
        specs = {spec["id"] for spec in labels[given["label_id"]]["attributes"]}
        for attribute in given.get("attributes", ()):
            if attribute["spec_id"] not in specs:
                raise RefusalError(400, [f"spec_id `{attribute['spec_id']}` is invalid"])
        record = {"group": 0, "source": "manual", "attributes": [], **given}
        if kind == "shapes":
            record = {
                "occluded": False,
                "outside": False,
                "z_order": 0,
                "rotation": 0.0,
                "elements": [],
                **record,
            }
        record["id"] = next(self.numbers)
        task[kind].append(record)
        return record

    def start(self, request: Record, result: Any = None) -> str:
        """Begins work in the background."""
        number = f"action={request['type']}&target=task&id={uuid.uuid4().hex[:8]}"
        self.work[number] = {"left": self.polls, "operation": request, "result": result}
        return number

    def look(self, number: str) -> Record:
        """How far it is."""
        work = self.work[number]
        work["left"] -= 1
        state = "started" if self.stuck or work["left"] >= 0 else "finished"
        if self.failure and not self.stuck:
            state = "failed"
        return {
            "id": number,
            "status": state,
            "message": self.failure if state == "failed" else "",
            "operation": work["operation"],
            "result_url": work["result"] if state == "finished" else None,
        }


class Handler(BaseHTTPRequestHandler):
    """The routes; each answers with JSON, bytes or nothing."""

    cvat: CvatServer
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one piece, which no delayed acknowledgement holds up
    timeout = 30

    def log_message(self, *arguments: Any) -> None:
        pass

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), dict(parse_qsl(parts.query))
        request = Request(self.command, path, query, dict(self.headers.items()), body)
        with self.cvat.lock:
            self.cvat.requests.append(request)
            fault = self._fault(request)
            if fault is None or fault.done:
                status, content, headers = self._result(request)
            if fault is not None:
                status, content, headers = fault.status, b"<html>no</html>", fault.headers
        if not status:
            self.close_connection = True
            self.connection.close()
            return
        with suppress(ConnectionError):
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _answer  # noqa: N815

    def _fault(self, request: Request) -> Fault | None:
        for fault in self.cvat.faults:
            if fault.method in ("", request.method) and fault.path in request.path:
                fault.times -= 1
                if not fault.times:
                    self.cvat.faults.remove(fault)
                return Fault(**{**vars(fault), "headers": list(fault.headers.items())})
        return None

    def _result(self, request: Request) -> tuple[int, bytes, list[tuple[str, str]]]:
        try:
            status, content, headers = self._routed(request)
        except RefusalError as refusal:
            status, content, headers = refusal.status, refusal.body, []
        if not isinstance(content, bytes):
            content = b"" if content is None else json.dumps(content).encode()
            headers = [("Content-Type", "application/vnd.cvat+json"), *headers]
        return status, content, headers

    def _routed(self, request: Request) -> tuple[int, Any, list[tuple[str, str]]]:
        path = request.path.rstrip("/")
        if path == "/api/server/about":
            return 200, {"name": "CVAT", "version": self.cvat.version}, []
        if path == "/api/auth/login":
            return self._login(request)
        self._check_access(request)
        for pattern, route in ROUTES:
            if match := re.fullmatch(pattern, f"{request.method} {path}"):
                answer = route(self.cvat, request, *match.groups())
                return answer if len(answer) == 3 else (*answer, [])
        raise RefusalError(404, {"detail": "Not found."})

    def _login(self, request: Request) -> tuple[int, Any, list[tuple[str, str]]]:
        if (request.json.get("username"), request.json.get("password")) != (USERNAME, PASSWORD):
            said = "Unable to log in with provided credentials."
            raise RefusalError(400, {"non_field_errors": [said]})
        session, csrf = uuid.uuid4().hex, uuid.uuid4().hex
        self.cvat.sessions[session] = csrf
        cookies = [
            ("Set-Cookie", f"csrftoken={csrf}; Path=/; SameSite=Lax"),
            ("Set-Cookie", f"sessionid={session}; HttpOnly; Path=/; SameSite=Lax"),
        ]
        return 200, {"key": "0123456789"}, cookies

    def _check_access(self, request: Request) -> None:
        given = request.headers.get("Authorization", "")
        cookies = dict(re.findall(r"(\w+)=([^;\s]+)", request.headers.get("Cookie", "")))
        csrf = self.cvat.sessions.get(cookies.get("sessionid", ""))
        if given != f"Bearer {TOKEN}" and csrf is None:
            said = "Invalid token." if given else "Authentication credentials were not provided."
            raise RefusalError(401, {"detail": said})
        safe = request.method in ("GET", "HEAD")
        if not given and not safe and request.headers.get("X-CSRFToken") != csrf:
            raise RefusalError(403, {"detail": "CSRF Failed: CSRF token missing."})
        if (slug := request.headers.get("X-Organization")) and slug != self.cvat.organization:
            raise RefusalError(404, {"detail": f"{slug} organization does not exist"})


@contextmanager
def running_cvat(share: Path | None = None, **behaviour: Any) -> Iterator[CvatServer]:
    """Serves until the end of the block; `behaviour`: fields of CvatServer."""

    class Bound(Handler):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
    server.daemon_threads = True
    Bound.cvat = CvatServer(f"http://127.0.0.1:{server.server_address[1]}", share, **behaviour)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield Bound.cvat
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
