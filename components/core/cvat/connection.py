"""A logged-in connection to CVAT: JSON in and out, lists to their end, files that are whole."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.core import files
from components.core.cvat.endpoint import Endpoint, NotFoundError
from components.core.cvat.patience import Patience
from components.core.errors import ServiceError

PAGE = 100
BLOCK = 1 << 20
DOWNLOADS = 3
"""Attempts at a file whose transfer is cut short."""
ACCEPT = "application/vnd.cvat+json"
OLDEST = 2
"""Major version of the server."""

Query = Mapping[str, Any]


class Connection:
    """Makes the requests that the rest of this package is about; threads may share it."""

    def __init__(self, endpoint: Endpoint, patience: Patience | None = None) -> None:
        """Names the server; nothing is contacted yet."""
        self.endpoint = endpoint
        self.patience = patience or Patience()
        self._client: Any = None
        self._lock = threading.Lock()

    @property
    def client(self) -> Any:
        """The SDK's ApiClient, logged in.

        Raises:
            ServiceError: the server does not let us in.
        """
        with self._lock:
            if self._client is None:
                self._client = self._logged_in()
            return self._client

    def version(self) -> str:
        """The server's version, as in `2.31.0`; needs no credentials, and tells soon.

        Raises:
            ServiceError: no CVAT server of version 2 answers.
        """
        from cvat_sdk.api_client.exceptions import ApiException

        from components.core.cvat.rest import api_client

        rest = api_client(self.endpoint.url, self.patience.quick()).rest_client
        what = "asking for its version"
        try:
            with self._explained(what):
                answer = rest.request(
                    "GET", f"{self.endpoint.url}/api/server/about", headers={"Accept": ACCEPT}
                )
        except NotFoundError:
            raise self.endpoint.no_cvat("it has no /api/server/about") from None
        except ApiException as error:  # 401 and 403, of a proxy that asks for its own login
            raise self.endpoint.no_cvat(f"status {error.status}") from None
        about = self._json(answer.data)
        version = str(about.get("version", "")) if isinstance(about, dict) else ""
        major = version.partition(".")[0]
        if not major.isdigit():
            raise self.endpoint.no_cvat("it tells no version")
        if int(major) < OLDEST:
            raise self.endpoint.no_cvat(f"it is version {version}; update it")
        return version

    def json(
        self,
        what: str,
        method: str,
        path: str,
        query: Query | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The JSON of an answer; None where it is empty.

        Args:
            what: is being done, for messages.
            method: of HTTP.
            path: below the server's address, from `/api/` on.
            query: parameters.
            body: becomes JSON.
            headers: further ones.

        Raises:
            ServiceError: no answer, or another than success; NotFoundError where it says so.
        """
        given = {"Accept": ACCEPT, **(headers or {})}
        answer = self.request(what, method, path, query, headers=given, body=body)
        return self._json(answer.data) if answer.data else None

    def pages(self, what: str, path: str, query: Query | None = None) -> Iterator[dict[str, Any]]:
        """All records of a list, from all of its pages.

        Raises:
            ServiceError: see json.
        """
        page = 1
        while True:
            try:
                asked = {**(query or {}), "page": page, "page_size": PAGE}
                answer = self.json(what, "GET", path, asked)
            except NotFoundError:
                if page == 1:
                    raise
                return  # records were deleted since the page before said that there is one more
            if isinstance(answer, list):  # older servers do not page all lists
                yield from answer
                return
            yield from answer["results"]
            if not answer.get("next"):
                return
            page += 1

    def content(self, what: str, path: str, query: Query | None = None) -> bytes:
        """The bytes of an answer.

        Raises:
            ServiceError: see json.
        """
        data: bytes = self.request(what, "GET", path, query).data
        return data

    def save(self, what: str, path: str, target: Path) -> None:
        """Writes an answer into a file, which appears whole or not at all.

        Raises:
            ServiceError: see json; or the connection ended early.
            OutOfSpaceError: the volume is full.
        """
        for left in reversed(range(DOWNLOADS)):
            answer = self.request(what, "GET", path, _parse_response=False)
            try:
                with (
                    self._explained(what),
                    files.full_disk_named(target.parent),
                    files.atomic_path(target) as temporary,
                    open(temporary, "wb") as file,
                ):
                    for block in answer.stream(BLOCK):
                        file.write(block)
                return
            except ServiceError:
                if not left:
                    raise
            finally:
                answer.close()

    def request(
        self,
        what: str,
        method: str,
        path: str,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Any:
        """One request; see json for the arguments. Logs in anew where a session has run out.

        Raises:
            ServiceError: see json.
        """
        client = self.client
        try:
            return self._once(client, what, method, path, query, headers, options)
        except _SessionOverError:
            with self._lock:
                if self._client is client:
                    self._client = None
            client = self.client
        try:
            return self._once(client, what, method, path, query, headers, options)
        except _SessionOverError as error:
            raise self.endpoint.refusal(what, 401, error.body) from None

    def _once(
        self,
        client: Any,
        what: str,
        method: str,
        path: str,
        query: Query | None,
        headers: Mapping[str, str] | None,
        options: dict[str, Any],
    ) -> Any:
        from cvat_sdk.core.helpers import make_request_headers

        given = {**make_request_headers(client), **(headers or {})}
        parameters = list((query or {}).items())
        from components.core.cvat.rest import repeatable

        with self._explained(what, sure=repeatable(method, path, parameters)):
            return client.rest_client.request(
                method, self.endpoint.url + path, parameters, given, **options
            )

    def run(self, what: str, function: Callable[[Any], Any]) -> Any:
        """Calls a function of the SDK with the ApiClient; errors become ours.

        Raises:
            ServiceError: see json.
        """
        client = self.client
        try:
            with self._explained(what):
                return function(client)
        except _SessionOverError as error:
            raise self.endpoint.refusal(what, 401, error.body) from None

    def _logged_in(self) -> Any:
        from cvat_sdk.api_client import models
        from cvat_sdk.api_client.exceptions import ApiException, OpenApiException
        from urllib3.exceptions import HTTPError

        from components.core.cvat.rest import api_client

        endpoint = self.endpoint
        client = api_client(endpoint.url, self.patience)
        if endpoint.organization:
            client.set_default_header("X-Organization", endpoint.organization)
        if endpoint.token:
            client.configuration.access_token = endpoint.token
            return client
        given = models.LoginSerializerExRequest(
            username=endpoint.username, password=endpoint.password
        )
        try:
            client.auth_api.create_login(given)
        except ApiException as error:
            raise endpoint.login_refusal(error.status or 0, error.body) from None
        except HTTPError as error:
            raise endpoint.unreachable("logging in", _why(error)) from None
        except (OpenApiException, ValueError):
            raise endpoint.no_cvat("its login answers in another form") from None
        token = client.cookies.get("csrftoken")
        if token is None or "sessionid" not in client.cookies:
            raise endpoint.no_cvat("its login gives no session")
        client.configuration.api_key["csrfHeaderAuth"] = token.value
        return client

    @contextmanager
    def _explained(self, what: str, sure: bool = True) -> Iterator[None]:
        """Turns what the SDK and urllib3 raise inside into errors that name the cause and fix.

        `sure`: a failure leaves no doubt about what is on the server, or none that matters.
        """
        from cvat_sdk.api_client.exceptions import ApiException
        from cvat_sdk.core.exceptions import CvatSdkException
        from urllib3.exceptions import HTTPError

        from components.core.cvat.rest import never_connected

        try:
            yield
        except ApiException as error:
            if error.status == 401 and not self.endpoint.token and self.endpoint.username:
                raise _SessionOverError(error.body) from None
            if not error.status:  # TLS
                raise self.endpoint.unreachable(what, str(error.reason)) from None
            told = error.body
            if 300 <= error.status < 400 and error.headers:
                told = f"to {error.headers.get('Location', '?')}"
            refusal = self.endpoint.refusal(what, error.status, told)
            raise (_doubtful(refusal) if error.status >= 500 and not sure else refusal) from None
        except HTTPError as error:
            silent = self.endpoint.unreachable(what, _why(error))
            raise (silent if sure or never_connected(error) else _doubtful(silent)) from None
        except CvatSdkException as error:
            raise ServiceError(f"{what}: {self.endpoint.public(str(error))}") from None

    def _json(self, data: bytes) -> Any:
        try:
            return json.loads(data)
        except ValueError:
            raise self.endpoint.no_cvat("it sends something else than JSON") from None


class _SessionOverError(Exception):
    """The server does not know the session of our password (any more)."""

    def __init__(self, body: Any) -> None:
        super().__init__("the session is over")
        self.body = body


def _doubtful(error: ServiceError) -> ServiceError:
    return ServiceError(f"{error}. It may have been done nonetheless: look before you repeat it")


def _why(error: Exception) -> str:
    """What stands in the way, without the objects that urllib3 names."""
    reason: Any = getattr(error, "reason", None) or error
    if reason.args and isinstance(reason.args[-1], Exception):  # the connection was ended
        reason = reason.args[-1]
    return str(reason).rpartition("): ")[2] or type(reason).__name__
