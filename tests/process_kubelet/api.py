"""The Kubernetes API in plain JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import urllib3

Object = dict[str, Any]
"""A Kubernetes object, or a part of one, as the API writes it."""


class ApiError(Exception):
    """The API server refused; `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Api:
    """An API server at `url`, used with a bearer token; `authority` is a certificate file."""

    def __init__(self, url: str, token: str, authority: str) -> None:
        self.url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._pool = urllib3.PoolManager(ca_certs=authority, maxsize=16)

    def __call__(
        self, method: str, path: str, body: Object | None = None, patch: str = "merge"
    ) -> Object:
        """One request; `patch` is the kind of a PATCH: "merge" or "strategic-merge".

        Raises:
            ApiError: the answer is not a success.
        """
        kind = f"{patch}-patch+json" if method == "PATCH" else "json"
        headers = {"Content-Type": f"application/{kind}", **self._headers}
        data = None if body is None else json.dumps(body)
        answer = self._pool.request(method, self.url + path, body=data, headers=headers)
        if answer.status >= 300:
            raise ApiError(answer.status, answer.data.decode(errors="replace"))
        result: Object = answer.json()
        return result

    def find(self, path: str) -> Object | None:
        """An object, or None where there is none."""
        try:
            return self("GET", path)
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    def get_text(self, path: str) -> str:
        """The answer to a path that speaks no JSON, whatever its status."""
        answer = self._pool.request("GET", self.url + path, headers=self._headers)
        return answer.data.decode(errors="replace")

    def watch(self, path: str) -> Iterator[Object]:
        """All objects of a list, then each change, until the server ends the answer."""
        url, rest = f"{self.url}{path}?watch=1", b""
        headers = self._headers
        with self._pool.request("GET", url, headers=headers, preload_content=False) as answer:
            for chunk in answer.stream():
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (json.loads(line) for line in lines)
