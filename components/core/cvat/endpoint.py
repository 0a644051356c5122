"""Which CVAT to talk to, from the environment, and what its refusals mean."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from components.core.credentials import hidden, without_credentials
from components.core.errors import ServiceError

URL = "TRAINYARD_CVAT_URL"
TOKEN = "TRAINYARD_CVAT_TOKEN"
USERNAME = "TRAINYARD_CVAT_USERNAME"
PASSWORD = "TRAINYARD_CVAT_PASSWORD"
ORGANIZATION = "TRAINYARD_CVAT_ORGANIZATION"

LONGEST_REASON = 300


class NotFoundError(ServiceError):
    """What was asked for is not on the server, or not visible to this user."""


@dataclass(frozen=True)
class Endpoint:
    """A CVAT server and our credentials there: a token, or a user's name and password."""

    url: str
    """Scheme, host, port and, behind some proxies, a path; without `/api` and credentials."""
    token: str = field(default="", repr=False)
    username: str = ""
    password: str = field(default="", repr=False)
    organization: str = ""
    """Its short name; '' for the user's own space and all organizations."""

    @classmethod
    def from_environment(cls) -> Endpoint:
        """Reads the `TRAINYARD_CVAT_…` variables.

        Raises:
            ServiceError: with everything that is missing or malformed.
        """
        raw, token, username, password, organization = (
            os.environ.get(name, "").strip()
            for name in (URL, TOKEN, USERNAME, PASSWORD, ORGANIZATION)
        )
        problems = _address_problems(raw)
        if token and (username or password):
            given = " and ".join(n for n, v in ((USERNAME, username), (PASSWORD, password)) if v)
            problems.append(f"{TOKEN} and {given} are set; keep one way to log in, unset the other")
        elif bool(username) != bool(password):
            one, other = (USERNAME, PASSWORD) if username else (PASSWORD, USERNAME)
            problems.append(f"{one} is set but {other} is not; set both, or {TOKEN} instead")
        elif not token and not username:
            problems.append(
                f"no credentials: set {TOKEN} (an access token, made on the server's profile "
                f"page), or {USERNAME} and {PASSWORD}"
            )
        for name, value in ((TOKEN, token), (ORGANIZATION, organization)):
            if not value.isascii() or not value.isprintable():
                problems.append(f"{name} holds characters that no HTTP header can; correct it")
        if problems:
            raise ServiceError("; ".join(problems))
        url = raw.rstrip("/").removesuffix("/api")
        return cls(url.rstrip("/"), token, username, password, organization)

    def refusal(self, what: str, status: int, body: bytes | str | None) -> ServiceError:
        """What an answer other than success means.

        Args:
            what: was being done, as in `reading task 7`.
            status: of HTTP.
            body: of the answer.
        """
        said = self.public(_reason(body))
        told = f" ({said})" if said else ""
        if status == 401:
            return ServiceError(f"{what}: {self.url} does not know us{told}; {self._credentials()}")
        if status == 403:
            where = f" in the organization {self.organization!r}" if self.organization else ""
            return ServiceError(
                f"{what}: {self.url} does not allow it to this user{where}{told}; ask its "
                f"administrator for the right, or use other credentials"
            )
        if status == 404:
            where = f" in the organization {self.organization!r}" if self.organization else ""
            return NotFoundError(
                f"{what}: {self.url} has no such thing{where}{told}, or this user may not see it; "
                f"check the number, and {ORGANIZATION}"
            )
        if status == 413:
            return ServiceError(
                f"{what}: too large for {self.url}{told}; raise the limit of its proxy "
                "(client_max_body_size), or send less at once"
            )
        if 300 <= status < 400:
            return ServiceError(
                f"{what}: {self.url} sends us elsewhere{told}; set {URL} to where it lies, "
                "with https:// if it is served so"
            )
        if status == 429 or status >= 500:
            return ServiceError(
                f"{what}: {self.url} keeps failing with status {status}{told}; see its own log, "
                "or try again later"
            )
        return ServiceError(f"{what}: {self.url} refuses with status {status}{told}")

    def login_refusal(self, status: int, body: bytes | str | None) -> ServiceError:
        """What it means that a login was not successful."""
        if status in (400, 401, 403):
            said = self.public(_reason(body))
            told = f" ({said})" if said else ""
            return ServiceError(
                f"{self.url} does not let {self.username!r} in{told}; correct {USERNAME} and "
                f"{PASSWORD}"
            )
        if status == 404:
            return self.no_cvat("it has no login of CVAT 2")
        return self.refusal("logging in", status, body)

    def no_cvat(self, why: str) -> ServiceError:
        """The address answers, but not as CVAT does."""
        return ServiceError(
            f"{self.url} answers, but not as a CVAT server of version 2 ({why}); does {URL} name "
            "it, without a path such as /tasks?"
        )

    def unreachable(self, what: str, why: str) -> ServiceError:
        """Nothing answers."""
        return ServiceError(
            f"{what}: {self.url} cannot be reached ({self.public(why)}); is the server up, and is "
            f"{URL} right?"
        )

    def public(self, text: str) -> str:
        """The text without our credentials."""
        return hidden(without_credentials(text), (self.token, self.password))

    def _credentials(self) -> str:
        if self.token:
            return f"correct {TOKEN}: it may have expired, or be of another server"
        return f"correct {USERNAME} and {PASSWORD}"


def _address_problems(raw: str) -> list[str]:
    accepted = "expected http://host:port or https://host"
    if not raw:
        return [f"{URL} is not set; it names the CVAT server, as in http://cvat:8080"]
    try:
        parts = urlsplit(raw)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return [f"{URL} cannot be read; {accepted}"]
    if parts.username or parts.password or "@" in parts.netloc:
        return [f"{URL} holds credentials; put them in {USERNAME} and {PASSWORD}, or in {TOKEN}"]
    if not usable or parts.query or parts.fragment or not raw.isascii() or " " in raw:
        return [f"{URL}={raw!r} is not an address; {accepted}"]
    if parts.path.strip("/").startswith("api/v1"):
        return [f"{URL}={raw!r} is of CVAT 1; CVAT 2 is needed: {accepted}"]
    return []


def _reason(body: bytes | str | None) -> str:
    """What a refusal says, in one line: `detail`, or what is wrong with which field."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body or ""
    try:
        said = _flat(json.loads(text))
    except ValueError:
        said = "" if text.lstrip().startswith("<") else text  # a page for people
    line = " ".join(said.split())
    return line if len(line) <= LONGEST_REASON else f"{line[: LONGEST_REASON - 1]}…"


def _flat(said: Any) -> str:
    if isinstance(said, dict):
        silent = ("detail", "message", "non_field_errors")
        return "; ".join(
            _flat(value) if name in silent else f"{name}: {_flat(value)}"
            for name, value in said.items()
        )
    return "; ".join(map(_flat, said)) if isinstance(said, list) else str(said)
