"""Work that CVAT does in the background, and the wait for its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import quote

from components.core.annotation_tasks import Record
from components.core.cvat.connection import Connection
from components.core.errors import ServiceError


def finished(connection: Connection, what: str, request: str, advice: str = "") -> Record:
    """Waits until a background request has ended well; returns its record.

    Args:
        connection: to the server.
        what: it does, for messages.
        request: its id (rq_id).
        advice: added to the message where it fails.

    Raises:
        ServiceError: it failed, or took longer than `background_seconds`.
    """
    path = f"/api/requests/{quote(request, safe='')}"
    return _ended(connection, what, lambda: connection.json(what, "GET", path), advice)


def data_ready(connection: Connection, what: str, task: int, advice: str = "") -> Record:
    """Waits until a task is made of its files, on older servers, which tell no request of it.

    Raises:
        ServiceError: it failed, or took longer than `background_seconds`.
    """
    path = f"/api/tasks/{task}/status"
    return _ended(connection, what, lambda: connection.json(what, "GET", path), advice)


def _ended(
    connection: Connection, what: str, look: Callable[[], Record | None], advice: str
) -> Record:
    patience = connection.patience
    deadline = time.monotonic() + patience.background_seconds
    wait = patience.poll_seconds
    while True:
        record = look() or {}
        state = str(record.get("status") or record.get("state") or "").lower()
        if state == "finished":
            return record
        server = connection.endpoint.url
        if state == "failed":
            said = connection.endpoint.public(str(record.get("message") or "no reason given"))
            line = " ".join(said.split())[-300:]
            raise ServiceError(
                "; ".join(filter(None, [f"{what}: {server} failed: {line}", advice]))
            )
        left = deadline - time.monotonic()
        if left <= 0:
            raise ServiceError(
                f"{what}: {server} is not done after {patience.background_seconds:g} s (it is "
                f"{state or 'in no state that it tells'}); are its workers running? See its log"
            )
        time.sleep(min(wait, left))
        wait = min(1.5 * wait, patience.longest_poll_seconds)
