"""A Kubeflow Pipelines server for tests: the v2beta1 API over HTTP, in memory.

`kubeflow_state` is what it knows and how strict it is; here is how it is reached, and how it fails.
"""

from __future__ import annotations

import email.parser
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kubeflow_state import Asked, Document, Fault, KubeflowServer, RefusedError

LOGIN_PAGE = "<!doctype html><html><body>Log in with your organisation</body></html>"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        asked = Asked(self.command, parts.path, query, self._body(), self._token())
        fault = self._fault(asked)
        if fault:
            time.sleep(fault.delay)
            if fault.status:
                self._send(fault.status, fault.body.encode(), fault.headers)
                return
        try:
            said = self.server.kubeflow.answer(asked)
        except RefusedError as refusal:
            self._send_json(refusal.status, refusal.body())
            return
        if fault and fault.lose_answer:
            self.close_connection = True
            self.connection.close()
        elif isinstance(said, str):
            self._send(200, said.encode(), {"Content-Type": "text/plain"})
        else:
            self._send_json(200, said)

    do_GET = do_POST = do_DELETE = _handle  # noqa: N815

    def _body(self) -> Any:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = self.headers.get("Content-Type", "")
        if kind.startswith("multipart/form-data"):
            head = f"Content-Type: {kind}\r\n\r\n".encode()
            message = email.parser.BytesParser().parsebytes(head + content)
            return {
                str(part.get_param("name", header="content-disposition")): part.get_payload(
                    decode=True
                )
                for part in message.get_payload()
            }
        return json.loads(content) if content else None

    def _token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _fault(self, asked: Asked) -> Fault | None:
        for fault in self.server.kubeflow.faults:
            same = fault.method in ("", asked.method) and asked.path.startswith(fault.path)
            if same and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def _send_json(self, status: int, document: Document) -> None:
        content = json.dumps(document).encode()
        self._send(status, content, {"Content-Type": "application/json"})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        try:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:  # the client was not that patient
            self.close_connection = True

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    kubeflow: KubeflowServer


@contextmanager
def running_kubeflow(tls: ssl.SSLContext | None = None) -> Iterator[KubeflowServer]:
    """A server that listens on a free port of this machine."""
    http = _Http(("127.0.0.1", 0), _Handler)
    if tls:
        http.socket = tls.wrap_socket(http.socket, server_side=True)
    http.kubeflow = KubeflowServer()
    http.kubeflow.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield http.kubeflow
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
