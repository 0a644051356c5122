"""A webhook on a loopback port that keeps what is posted to it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET_PATH = "/services/T0/B0/do-not-print-me"


@dataclass
class Webhook:
    """What was received, and how it is answered."""

    url: str
    """As TRAINYARD_WEBHOOK_URL; its path is the secret."""
    answers: list[int] = field(default_factory=list)
    """Status codes of the next answers; 200 when there are none left."""
    delay: float = 0.0
    """Seconds before each answer."""
    received: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return {"TRAINYARD_WEBHOOK_URL": self.url}


@contextmanager
def running_webhook() -> Iterator[Webhook]:
    """Serves until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/json"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            webhook.paths.append(self.path)
            webhook.received.append(json.loads(body))
            status = webhook.answers.pop(0) if webhook.answers else 200
            time.sleep(webhook.delay)
            self.send_response(status)
            if status in (301, 302):
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "2")
            self.end_headers()
            with suppress(ConnectionError):  # who asked may have left with the status alone
                self.wfile.write(b"ok")

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    webhook = Webhook(f"http://127.0.0.1:{server.server_address[1]}{SECRET_PATH}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield webhook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
