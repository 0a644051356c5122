"""The grammars of names in Kubernetes: RFC 1123 labels and subdomains, qualified names, values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from components.core.settings import restore_integers
from components.core.state import digest
from pipelines.quantities import is_dns_label

LABEL_RULE = "accepted are at most 63 of a-z, 0-9 and inner dashes"
NAME_RULE = "accepted are a-z, 0-9, inner dashes and dots, at most 253"
KEY_RULE = (
    "accepted are letters, digits and inner - _ . , at most 63, with example.org/ before it or not"
)
VALUE_RULE = "accepted are letters, digits and inner - _ . , at most 63"
VARIABLE_RULE = "accepted are letters, digits and _, no digit first"
SECRET_KEY_RULE = "accepted are letters, digits and - _ ."

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_PART = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY = re.compile(r"[-._A-Za-z0-9]{1,253}")


def is_label(name: object) -> bool:
    """Whether it names a volume, container, Service, Job or namespace."""
    return is_dns_label(name)


def is_name(name: object) -> bool:
    """Whether it names any other object: a claim, Secret, ConfigMap, ServiceAccount."""
    return isinstance(name, str) and len(name) <= 253 and bool(_SUBDOMAIN.fullmatch(name))


def is_label_value(text: object) -> bool:
    """Whether it is the value of a label; empty is one."""
    return isinstance(text, str) and (not text or (len(text) <= 63 and bool(_PART.fullmatch(text))))


def is_label_key(text: object) -> bool:
    """Whether it is the key of a label, annotation, taint or resource."""
    if not isinstance(text, str):
        return False
    prefix, slash, name = text.rpartition("/")
    return bool(name) and is_label_value(name) and (is_name(prefix) if slash else True)


def is_variable(text: object) -> bool:
    """Whether it names an environment variable that every shell can read."""
    return isinstance(text, str) and bool(_VARIABLE.fullmatch(text))


def is_secret_key(text: object) -> bool:
    """Whether it is a key in a Secret or ConfigMap."""
    return isinstance(text, str) and bool(_KEY.fullmatch(text))


def content_hash(documents: Sequence[Mapping[str, Any]]) -> str:
    """Ten digits for what compiled documents hold; 2.0 is 2, as for the tools of Kubernetes."""
    return digest(restore_integers(list(documents)), 10)
