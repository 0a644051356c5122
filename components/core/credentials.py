"""Keeps the credentials of the environment out of texts that others read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from urllib.parse import unquote

HIDDEN = "<secret>"

_SECRET_NAME = re.compile(r"KEY|SECRET|TOKEN|PASSW|DSN|CREDENTIAL|WEBHOOK|_URI$")
_USER_IN_URL = re.compile(r"(?<=://)[^\s/@]+@")
_PASSWORD_IN_URL = re.compile(r"://[^\s/:@]*:([^\s@]+)@")
_USER_BEFORE_HOST = re.compile(r"[a-z][a-z0-9+.-]*:/+(?:[^/]*@|[^/@]*:(?!\d+/)[^@]*@)", re.I)
_PASSWORD_IN_PAIR = re.compile(r"password\s*=\s*(?:'((?:\\.|[^'\\])*)'|([^\s&']+))", re.I)
_SHORTEST_HIDDEN = 4
"""Of whole values; passwords inside of them are hidden however short they are."""


def holds_credentials(address: str) -> bool:
    """Whether a URL names a user or a password before its host; an `@` in its path is none."""
    return _USER_BEFORE_HOST.match(address.strip()) is not None


def without_credentials(text: str) -> str:
    """The text without users of URLs, secret variables' values, and passwords in any variable."""
    values = {
        value
        for name, value in os.environ.items()
        if _SECRET_NAME.search(name) and len(value) >= _SHORTEST_HIDDEN
    }
    found = {word for value in os.environ.values() for word in passwords(value)}
    return hidden(_USER_IN_URL.sub("", text), values | found)


def hidden(text: str, secrets: Iterable[str]) -> str:
    """The text with HIDDEN in the place of each secret that stands in it as a word."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", HIDDEN, text)
    return text


def passwords(value: str) -> set[str]:
    """The passwords in URLs and `password=…` pairs, as they are written and as they are meant."""
    written = {match[1] for match in _PASSWORD_IN_URL.finditer(value)}
    written |= {match[1] or match[2] or "" for match in _PASSWORD_IN_PAIR.finditer(value)}
    meant = {form for word in written for form in (unquote(word), re.sub(r"\\(.)", r"\1", word))}
    return (written | meant) - {""}
