"""What a failed request to Kubeflow means, and what to do about it."""

from __future__ import annotations

import json
import re
from typing import Any

import urllib3
from kfp_server_api.exceptions import ApiException

from components.core.errors import InputError, ServiceError, SettingsError, TrainyardError
from pipelines.backends._kubeflow_address import CA, TOKEN, TOKEN_FILE, URL, Address

QUOTA_ADVICE = (
    "wait for other runs to end, ask for less (--cpu, --memory, --gpus), or ask who runs the "
    "cluster for more; then resume the run"
)

_BUSY = (429, 502, 503, 504)
_LONGEST_PAUSE = 30.0


class AbsentError(InputError):
    """The server has no such thing."""


class ExistsError(ServiceError):
    """A thing of this name is there already."""


class ForbiddenError(ServiceError):
    """The server knows us and does not let us."""


class GoneError(ServiceError):
    """Nothing listens at the address, or it is not known: wrong, or gone for a while."""


class AgainError(Exception):
    """A failure that may be over soon; `error` is what it means if it is not."""

    def __init__(
        self, error: TrainyardError, *, internal: bool = False, pause: float = 0.0
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.internal = internal
        """The server said that it failed itself; else it was busy or silent."""
        self.pause = pause
        """Seconds it asked to wait."""


def refusal(address: Address, what: str, error: ApiException, with_token: bool) -> Exception:
    """What to raise for an answer that is no success."""
    message, said, status = _message(error), "", int(error.status or 0)
    said = f": {message}" if message else ""
    head = f"cannot {what}"
    if status in _BUSY:
        busy = ServiceError(
            f"{head}: {address.url} is overloaded or restarting (it answers {status}{said}); "
            "try again later"
        )
        return AgainError(busy, pause=_retry_after(error))
    if 300 <= status < 400:
        return login_page(address, what)
    if status == 401:
        return ServiceError(_unknown_user(address, head, with_token))
    if status == 403 and "exceeded quota" in message:
        return ForbiddenError(f"{head}: {message}; {QUOTA_ADVICE}")
    if status == 403:
        return ForbiddenError(
            f"{head}: {address.url} does not let this user{said}; check --namespace, or ask who "
            "runs Kubeflow to make you a contributor of that namespace (ClusterRole kubeflow-edit)"
        )
    if status == 404:
        return _absent(address, head, error, message)
    if status == 409:
        return ExistsError(f"{head}: its name is taken at {address.url}{said}")
    if status == 413:
        return SettingsError([f"the compiled pipeline is larger than it takes{said}"], head)
    if status in (400, 422):
        return SettingsError([message or str(error.reason)], f"what {address.url} refuses")
    failed = ServiceError(
        f"{head}: {address.url} answers {status}{said}; the log of its deployment ml-pipeline says "
        "more"
    )
    return AgainError(failed, internal=True) if status >= 500 else failed


def unreachable(address: Address, what: str, error: urllib3.exceptions.HTTPError) -> Exception:
    """What to raise where no answer came."""
    reason = getattr(error, "reason", None) or error
    head = f"cannot {what}"
    if isinstance(reason, urllib3.exceptions.SSLError):
        return _untrusted(address, head, str(reason))
    if isinstance(reason, urllib3.exceptions.NameResolutionError):
        return GoneError(
            f"{head}: there is no host {address.host}; check {URL}, and whether a VPN is needed"
        )
    if isinstance(reason, urllib3.exceptions.NewConnectionError) and "refused" in str(reason):
        return GoneError(
            f"{head}: nothing listens at {address.url}; check {URL} and its port, or forward one: "
            "kubectl -n kubeflow port-forward svc/ml-pipeline-ui 8080:80"
        )
    silent = ServiceError(
        f"{head}: {address.url} does not answer ({type(reason).__name__}); is it the right "
        f"address ({URL}), and is a VPN needed?"
    )
    return AgainError(silent)


def login_page(address: Address, what: str) -> ServiceError:
    """The error for an answer that is a page for people, or leads to one."""
    return ServiceError(
        f"cannot {what}: what answers at {address.url} is a login page or a website, not the API; "
        f"give the API's address in {URL} (often the site's with /pipeline at its end) and a token "
        f"for programs in {TOKEN} or {TOKEN_FILE}"
    )


def too_old(address: Address, version: str, oldest: tuple[int, ...]) -> ServiceError:
    """The error for a server that lacks what we need."""
    wanted = ".".join(map(str, oldest))
    return ServiceError(
        f"{address.url} is Kubeflow Pipelines {version}; {wanted} or newer is needed: ask who runs "
        "it, or upload what `trainyard compile` writes in its user interface"
    )


def _untrusted(address: Address, head: str, reason: str) -> ServiceError:
    if "WRONG_VERSION_NUMBER" in reason or "record layer" in reason:
        return ServiceError(f"{head}: {address.url} does not speak https; try http:// in {URL}")
    brief = re.sub(r"\s+", " ", reason)
    return ServiceError(
        f"{head}: the certificate of {address.url} is not trusted ({brief}); give the file of its "
        f"CA in {CA}"
    )


def _unknown_user(address: Address, head: str, with_token: bool) -> str:
    if not with_token:
        return f"{head}: {address.url} wants a token; give one in {TOKEN} or {TOKEN_FILE}"
    return (
        f"{head}: {address.url} does not accept the token, which may have expired or be for "
        f"another audience; get a new one, for example with kubectl -n NAMESPACE create token "
        f"default-editor --audience pipelines.kubeflow.org, and put it into {TOKEN} or {TOKEN_FILE}"
    )


def _absent(address: Address, head: str, error: ApiException, message: str) -> Exception:
    if message and message != "Not Found":
        return AbsentError(f"{head}: {message}")
    return ServiceError(
        f"{head}: {address.url} has no such part of the API; check {URL} (it often ends in "
        "/pipeline), and whether the server is Kubeflow Pipelines 2"
    )


def _message(error: ApiException) -> str:
    """What the server says, if it says it in its own form and not as a page."""
    try:
        content: Any = json.loads(error.body or "")
    except ValueError:
        text = str(error.body or "").strip()
        return "" if "<" in text or len(text) > 300 else text
    if not isinstance(content, dict):
        return ""
    return str(content.get("message") or content.get("error") or content.get("error_message") or "")


def _retry_after(error: ApiException) -> float:
    text = str((error.headers or {}).get("Retry-After", ""))
    return min(float(text), _LONGEST_PAUSE) if text.isdecimal() else 0.0
