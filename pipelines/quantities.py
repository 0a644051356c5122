"""Kubernetes quantities and names: what `8Gi`, `1500m` and a DNS label are."""

from __future__ import annotations

import re
from decimal import Decimal

from components.core.state import digest

_SUFFIXES = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12),
    "P": Decimal(10**15), "E": Decimal(10**18), "Ki": Decimal(2**10), "Mi": Decimal(2**20),
    "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip
_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|([A-Za-z]*))$")

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
LONGEST_NAME = 63


def quantity(text: object) -> Decimal:
    """The number that a Kubernetes quantity stands for, in its base unit (cores, bytes).

    Raises:
        ValueError: it is no quantity; `16 GB` and `8gb` are none.
    """
    match = _QUANTITY.match(str(text))
    suffix = match[3] or "" if match else None
    if isinstance(text, bool) or match is None or suffix not in _SUFFIXES:
        raise ValueError(f"{text!r} is no Kubernetes quantity; accepted are forms like 8Gi or 500m")
    return Decimal(match[1] + (match[2] or "")) * _SUFFIXES[suffix]


def is_dns_label(name: object) -> bool:
    """Whether Kubernetes accepts `name` for a Job: at most 63 of a-z, 0-9 and inner dashes."""
    return isinstance(name, str) and len(name) <= LONGEST_NAME and bool(_LABEL.match(name))


def dns_label(text: str) -> str:
    """A DNS label made from any text; a text that is too long ends in a digest of the whole."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"
    if len(plain) <= LONGEST_NAME:
        return plain
    return f"{plain[: LONGEST_NAME - 9].rstrip('-')}-{digest(text, 8)}"
