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
    try:
        message = str(json.loads(error.body)["message"])
    except (ValueError, KeyError, TypeError):
        message = str(error.reason)
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
    if error.status in (400, 422):
        return SettingsError([message], f"what {place} refuses")
    return ServiceError(f"cannot {what}: {place} answers {error.status}: {message}")


def is_hopeless(error: urllib3.exceptions.HTTPError) -> bool:
    """Whether trying again makes no sense: no such host, nobody listens, another's certificate."""
    reason = getattr(error, "reason", error)
    kinds = (urllib3.exceptions.NameResolutionError, urllib3.exceptions.SSLError)
    if isinstance(reason, kinds):
        return True
    refused = isinstance(reason, urllib3.exceptions.NewConnectionError)
    return refused and "refused" in str(reason) and "KUBERNETES_SERVICE_HOST" not in os.environ
