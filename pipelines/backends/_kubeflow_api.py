"""The Kubeflow Pipelines API (v2beta1): requests are models of kfp_server_api, which checks them;
answers are plain documents; failures are errors that say what to do."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import kfp_server_api
import urllib3
from kfp_server_api.exceptions import ApiException
from kfp_server_api.rest import RESTClientObject

from components.core.errors import InputError, ServiceError, TrainyardError
from pipelines.backends._kubeflow_address import Address
from pipelines.backends._kubeflow_refusals import (
    AgainError,
    GoneError,
    login_page,
    refusal,
    too_old,
    unreachable,
)

Document = dict[str, Any]

PATIENCE_SECONDS = 60.0
"""How long a server may be silent or overloaded before we give up."""

FIRST_PAUSE = 0.5
"""Seconds before a request is sent again; longer each time."""

TIMEOUT = (10, 60)
"""Seconds to connect, and to wait for an answer."""

PAGE_SIZE = 100

OLDEST = (2, 5)
"""Schedules without a fixed version need this server; so do names of versions apart from titles."""


class Kubeflow:
    """One server, in the name of one user."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.multi_user = False
        """Whether everything lies in a namespace of its user; `connect` finds out."""
        settings = kfp_server_api.Configuration(host=address.url)
        settings.ssl_ca_cert = address.ca_file()
        settings.retries = False  # nor redirects: the token is for this server only
        settings.client_side_validation = True
        self._client = kfp_server_api.ApiClient(settings)
        self._client.rest_client = _Transport(settings)
        self.pipelines = kfp_server_api.PipelineServiceApi(self._client)
        self.uploads = kfp_server_api.PipelineUploadServiceApi(self._client)
        self.experiments = kfp_server_api.ExperimentServiceApi(self._client)
        self.runs = kfp_server_api.RunServiceApi(self._client)
        self.schedules = kfp_server_api.RecurringRunServiceApi(self._client)
        self._health = kfp_server_api.HealthzServiceApi(self._client)

    @classmethod
    def connect(cls, namespace: str | None = None) -> Kubeflow:
        """The server that the environment names, after a look whether it is one.

        Args:
            namespace: where something is to be made or looked for; None for requests that name
                what they are about by its id.

        Raises:
            SettingsError: the environment is wrong.
            InputError: the server needs a namespace and none is given.
            ServiceError: there is none, it lets nobody in, or it is too old.
        """
        api = cls(Address.from_environment())
        found = api.call("ask Kubeflow for its version", api._health.healthz_service_get_healthz)
        version = str(found.get("tag_name", ""))
        if _numbers(version) and _numbers(version) < OLDEST:
            raise too_old(api.address, version, OLDEST)
        api.multi_user = bool(found.get("multi_user"))
        if api.multi_user and namespace == "":
            raise InputError(
                f"{api.address.url} serves many users: give the namespace of your profile with "
                "--namespace"
            )
        return api

    def require_namespace_known(self, namespace: str) -> None:
        """Refuses a namespace where there are none, as the server would in its own words.

        Raises:
            InputError: one is given, and the server is of a single user.
        """
        if namespace and not self.multi_user:
            raise InputError(
                f"{self.address.url} serves a single user and keeps nothing by namespace: leave "
                f"--namespace {namespace} out"
            )

    def call(
        self,
        what: str,
        send: Callable[..., Any],
        *arguments: Any,
        made: Callable[[], Document | None] | None = None,
        told: Callable[[TrainyardError], None] | None = None,
        **options: Any,
    ) -> Document:
        """Sends a request and returns the answer; silence and overload are waited out.

        Args:
            what: for messages, such as `create the run`.
            send: a method of a service of this object.
            arguments: its arguments.
            made: for requests that create something: looks, before it is tried again, whether the
                first attempt has created it although no answer came.
            told: for those who wait anyway: gets what is waited out, each time; internal errors
                and a server that has gone away are then waited out too.
            options: more arguments.

        Raises:
            AbsentError, ForbiddenError, ExistsError, SettingsError (refused content), ServiceError.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        pause, attempts = FIRST_PAUSE, 0
        while True:
            attempts += 1
            try:
                return self._send(what, send, arguments, options)
            except (AgainError, GoneError) as error:
                if isinstance(error, GoneError) and told is None:
                    raise
                again = error if isinstance(error, AgainError) else AgainError(error)
                # An internal error is rarely over soon, and may have created something.
                enough = again.internal and (made is not None or attempts >= 3) and told is None
                pause = max(pause, again.pause)
                if enough or time.monotonic() + pause > deadline:
                    raise again.error from None
                if told is not None:
                    told(again.error)
            time.sleep(pause)
            pause = min(2 * pause, 10.0)
            if made is not None and (found := made()) is not None:
                return found

    def pages(
        self, what: str, send: Callable[..., Any], field: str, *arguments: Any, **options: Any
    ) -> Iterator[Document]:
        """Everything that a listing method lists, page by page."""
        token = ""
        while True:
            more: dict[str, Any] = {"page_token": token} if token else {}
            page = self.call(what, send, *arguments, page_size=PAGE_SIZE, **more, **options)
            yield from page.get(field) or []
            following = str(page.get("next_page_token") or "")
            if following == token:
                return
            token = following
            if not token:
                return

    def text(self, what: str, path: str, query: dict[str, str]) -> str:
        """The text at a path outside the documented API.

        Raises:
            AbsentError, ForbiddenError, ServiceError: as `call`, and for a page of the interface.
        """

        def send(**options: Any) -> Any:
            return self._client.call_api(path, "GET", {}, list(query.items()), {}, **options)

        try:
            answer = self._answer(what, send, (), {})
        except AgainError as again:
            raise again.error from None
        if _is_page(answer):
            raise ServiceError(f"cannot {what}: {self.address.url} does not offer it")
        return _data(answer).decode(errors="replace")

    def _send(self, what: str, send: Callable[..., Any], arguments: Any, options: Any) -> Document:
        answer = self._answer(what, send, arguments, options)
        if _is_page(answer):
            raise login_page(self.address, what)
        try:
            content = json.loads(_data(answer) or b"{}")
        except ValueError:
            raise login_page(self.address, what) from None
        if not isinstance(content, dict):
            raise login_page(self.address, what)
        return content

    def _answer(self, what: str, send: Callable[..., Any], arguments: Any, options: Any) -> Any:
        """Sends once; a token that was renewed meanwhile is used for a second attempt."""
        token = self.address.token()
        for attempt in (1, 2):
            if token:
                self._client.set_default_header("Authorization", f"Bearer {token}")
            try:
                answer = send(
                    *arguments, _preload_content=False, _request_timeout=TIMEOUT, **options
                )
                _data(answer)  # read to its end here, where a broken connection is understood
                return answer
            except ApiException as error:
                renewed = self.address.token()
                if error.status == 401 and attempt == 1 and renewed != token:
                    token = renewed
                    continue
                raise refusal(self.address, what, error, bool(token)) from None
            except UnicodeDecodeError:
                raise login_page(self.address, what) from None
            except urllib3.exceptions.HTTPError as error:
                raise unreachable(self.address, what, error) from None
        raise AssertionError("every way out of the loop was taken")


class _Transport(RESTClientObject):  # type: ignore[misc]
    """The client's transport; its own answer to a refused handshake is one it trips over."""

    def request(self, *arguments: Any, **options: Any) -> Any:
        """See the base class."""
        try:
            return super().request(*arguments, **options)
        except ApiException as error:
            if error.status == 0:
                raise urllib3.exceptions.SSLError(error.reason) from None
            raise


def plain(model: Any) -> Document:
    """A request's body as it is sent, without a server."""
    body: Document = kfp_server_api.ApiClient().sanitize_for_serialization(model)
    return body


def _data(answer: Any) -> bytes:
    content: bytes = answer.data
    return content


def _is_page(answer: Any) -> bool:
    return "html" in str(answer.headers.get("Content-Type", "")).lower()


def _numbers(version: str) -> tuple[int, ...]:
    """(2, 5, 0) of `v2.5.0` or `2.5.0-rc.1`; empty for anything else, such as a commit."""
    head = version.removeprefix("v").partition("-")[0].split(".")
    return tuple(int(part) for part in head) if all(part.isdecimal() for part in head) else ()
