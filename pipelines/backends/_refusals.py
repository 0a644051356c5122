"""What a cluster may answer besides yes: one class per kind, each message says what to do."""

from __future__ import annotations

import json
import os

import urllib3
from kubernetes import client

from components.core.errors import ServiceError, SettingsError


class ExistsError(ServiceError):
    """An object of this name is there already."""


class ConflictError(ServiceError):
    """Somebody else manages a field that we would change."""


class ForbiddenError(ServiceError):
    """The cluster knows us and does not let us."""


class NotServedError(ServiceError):
    """The cluster has no such kind of object."""


class UnreachableError(ServiceError):
    """The cluster does not answer."""


class AbsentError(ServiceError):
    """There is no such object, or no such namespace."""


def refusal(what: str, error: client.ApiException, namespace: str, server: str) -> Exception:
    """The error for an answer of the API.

    Args:
        what: what was asked for, such as `create Job/x`.
        error: the answer.
        namespace: the one that was spoken about.
        server: the cluster's address.
    """
    message = _message(error)
    place = f"namespace {namespace} at {server}"
    if error.status == 401:
        return ServiceError(
            f"cannot {what}: {place} does not accept the credentials, which may have expired; "
            "fetch a new kubeconfig"
        )
    if error.status == 403 and "exceeded quota" in message:
        return ForbiddenError(
            f"cannot {what}: {message}; wait for other Jobs to end, remove what is not needed any "
            "more, or ask for less"
        )
    if error.status == 403:
        return ForbiddenError(
            f"cannot {what}: {message}; check --namespace, or ask its administrator"
        )
    if error.status == 404:
        absent = f'namespaces "{namespace}" not found' in message
        hint = f"there is no {place}; check --namespace" if absent else message
        return AbsentError(f"cannot {what}: {hint}")
    if error.status == 409 and "Apply failed with" in message:
        return ConflictError(
            f"cannot {what}: {message}; leave these fields to their manager, or take them over "
            "with --force-conflicts"
        )
    if error.status == 409:
        return ExistsError(f"cannot {what}: {message}")
    if _MISFIT in message:
        return SettingsError(
            [f"{message}; no such field, or not this kind of value: check the spelling"],
            f"what {place} refuses",
        )
    if error.status == 400 and "HTTPS server" in str(error.body):
        return UnreachableError(f"cannot {what}: {_wants_https(server)}")
    if error.status in (400, 422):
        return SettingsError([message], f"what {place} refuses")
    return ServiceError(f"cannot {what}: {place} answers {error.status}: {message}")


def unreachable(what: str, error: urllib3.exceptions.HTTPError, server: str) -> UnreachableError:
    """The error for no answer at all."""
    reason = getattr(error, "reason", None) or error
    advice = "is the kubeconfig's context the right one, and is a VPN needed?"
    if "CERTIFICATE_VERIFY_FAILED" in str(reason):
        advice = (
            "its certificate is not of the authority in the kubeconfig's "
            "certificate-authority-data: fetch a new kubeconfig"
        )
    elif _is_cut(reason, server):
        advice = _wants_https(server)
    return UnreachableError(f"cannot {what}: {server} does not answer ({reason}); {advice}")


def _wants_https(server: str) -> str:
    return f"{server} wants https: write server: https://… in the kubeconfig"


def _is_cut(reason: Exception, server: str) -> bool:
    """Whether a server ends a connection without TLS, as one that wants TLS may."""
    return server.startswith("http:") and isinstance(reason, urllib3.exceptions.ProtocolError)


def is_passing(error: client.ApiException) -> bool:
    """Whether a refusal is one of overload, which ends by itself."""
    return error.status in (429, 500, 502, 503, 504) and _MISFIT not in _message(error)


_MISFIT = "failed to create typed patch object"
"""The API answers 500 where an applied document does not fit its kind."""


def _message(error: client.ApiException) -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (ValueError, KeyError, TypeError):
        return str(error.reason)


def is_hopeless(error: urllib3.exceptions.HTTPError, server: str) -> bool:
    """Whether trying again makes no sense: no such host, nobody listens, TLS that does not fit."""
    reason = getattr(error, "reason", error)
    kinds = (urllib3.exceptions.NameResolutionError, urllib3.exceptions.SSLError)
    if isinstance(reason, kinds) or _is_cut(reason, server):
        return True
    refused = isinstance(reason, urllib3.exceptions.NewConnectionError)
    return refused and "refused" in str(reason) and "KUBERNETES_SERVICE_HOST" not in os.environ
