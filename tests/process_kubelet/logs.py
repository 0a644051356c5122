"""The logs of containers: files whose lines carry their time, and the kubelet's log endpoint."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qsl, urlsplit

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Log:
    """The log of one start of a container."""

    path: Path
    ended: threading.Event = field(default_factory=threading.Event)
    """Set when nothing more will come."""

    def copy(self, source: IO[bytes]) -> None:
        """Writes what comes, each line behind its time."""
        with open(self.path, "ab", buffering=0) as file:
            for line in source:
                file.write(datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ ").encode() + line)

    def lines(self, follow: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """(time, line) of what it holds; with `follow` also of what comes until it ends."""
        with open(self.path, "rb") as file:
            while True:
                last = not follow or self.ended.is_set()
                for line in file:
                    yield line.partition(b" ")[0], line.partition(b" ")[2]
                if last:
                    return
                time.sleep(0.05)

    def tail(self) -> str:
        """Its last 80 lines, at most 2048 bytes: what a failed container leaves as its message."""
        text = b"".join([line for _, line in self.lines()][-80:])
        return text[-2048:].decode(errors="replace")


def serve_logs(
    find: Callable[[str, str, str], list[Log] | None], certificate: str, key: str
) -> ThreadingHTTPServer:
    """Serves `/containerLogs/<namespace>/<pod>/<container>` over HTTPS on a free port.

    `find` gives the logs of a container's starts, or None where there is no such container.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            options = dict(parse_qsl(url.query))
            match url.path.split("/")[1:]:
                case ["containerLogs", namespace, pod, container]:
                    logs = find(namespace, pod, container)
                    back = 2 if options.get("previous") == "true" else 1
                    if logs is None:
                        self._answer(404, f"no container {container} in pod {pod}")
                    elif len(logs) < back:
                        text = f'container "{container}" in pod "{pod}" is waiting to start'
                        self._answer(400, f"{text}: ContainerCreating")
                    else:
                        self._answer(200)
                        self._send(logs[-back], options)
                case _:
                    self._answer(404, f"{url.path}: this kubelet serves logs only")

        def _answer(self, status: int, message: str = "") -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/plain")
            self.end_headers()
            self.wfile.write(message.encode())

        def _send(self, log: Log, options: dict[str, str]) -> None:
            stamps, follow = (options.get(o) == "true" for o in ("timestamps", "follow"))
            skip = 0
            if tail := options.get("tailLines"):
                skip = max(0, sum(1 for _ in log.lines()) - int(tail))
            for number, (stamp, line) in enumerate(log.lines(follow)):
                if number >= skip:
                    self.wfile.write(stamp + b" " + line if stamps else line)
                    self.wfile.flush()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
