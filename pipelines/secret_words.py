"""Recognises secret values where only references to them belong."""

from __future__ import annotations

import re

import yaml

_WORDS = {
    "key", "apikey", "secret", "token", "password", "passwd", "pwd", "passphrase", "credential",
    "credentials", "dsn", "secretkey", "accesskey",
}  # fmt: skip
_ENDINGS = ("password", "passwd", "secret", "token", "apikey")
_PLACES = {"file", "path", "dir", "name", "ref", "url"}
"""Last words of names that say where a secret is, not what it is."""

_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/@:]*:([^\s/@]+)@", re.IGNORECASE)
_ARGUMENT = re.compile(r"(?:^|\s|;)(?:--?|export\s+)?([A-Za-z][\w.-]*)=(\S+)")
_KNOWN = re.compile(
    r"\b(AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|glpat-[\w-]{20}|xox[abprs]-[\w-]{10,}"
    r"|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.)|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)


def names_secret(name: str) -> bool:
    """Whether a variable, setting or option of this name holds a secret."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    words = [word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word]
    secret = any(word in _WORDS or word.endswith(_ENDINGS) for word in words)
    return secret and words[-1] not in _PLACES


def secret_in_value(name: str, value: str) -> str:
    """What is secret about `name` having this literal value, or an empty string.

    `$(OTHER)` and `${OTHER}` are references.
    """
    if names_secret(name) and value.strip() and not re.match(r"\$[({][\w]+[)}]$", value.strip()):
        return f"{name} has a literal value"
    return ""


def secret_in_text(text: str) -> str:
    """What is secret in an argument, a script or a settings file, or an empty string.

    The secret itself is never part of the answer.
    """
    if (match := _URL.search(text)) and not match[1].startswith("$"):
        return "a URL with a password in it"
    if _KNOWN.search(text):
        return "an access key, token or private key"
    for match in _ARGUMENT.finditer(text):
        if problem := secret_in_value(match[1], match[2]):
            return problem
    return _in_mapping(text)


def _in_mapping(text: str) -> str:
    """Looks into YAML and JSON mappings, as settings files are."""
    if ":" not in text:
        return ""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        return ""
    for name, value in content.items() if isinstance(content, dict) else ():
        if isinstance(value, str | int) and (found := secret_in_value(str(name), str(value))):
            return found
    return ""
