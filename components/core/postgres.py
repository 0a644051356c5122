"""Connections to PostgreSQL that an environment variable names; no message holds a password."""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import urlsplit

from components.core.credentials import hidden, without_credentials
from components.core.errors import ServiceError, TrainyardError

CONNECT_SECONDS = 5
LOCK_TIMEOUT = "30s"
"""How long a statement waits for others who work on the same rows."""

ACCEPTED = (
    "expected postgresql://user:password@host/database, or pairs such as host=db dbname=trainyard "
    "user=trainyard password=…"
)
SPECIAL = "write special characters of the password as %XX, such as %40 for @ and %2F for /"

_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg2")
_REFUSED = re.compile(
    r"authentication failed|no password supplied|no pg_hba\.conf entry"
    r"|role \"[^\"]*\" (does not exist|is not permitted)"
)
_NO_DATABASE = re.compile(r"database \"[^\"]*\" does not exist")
_SILENT = re.compile(
    r"timeout expired|[Cc]onnection refused|could not (connect|translate)|[Uu]nreachable"
    r"|No route|No such file|Name or service|Connection (reset|timed out)"
    r"|server closed the connection|invalid response|server does not support"
)
_FAILED = re.compile(r"^connection to server .*? failed: (FATAL:\s+)?")


def connect(variable: str, purpose: str) -> Any:
    """A psycopg2 connection to the database that an environment variable names.

    Args:
        variable: holds a URL, or key=value pairs.
        purpose: what the database is needed for, for the message where the variable is not set.

    Raises:
        ServiceError: the variable is not set or cannot be read, or the server does not let us in.
    """
    psycopg2 = _driver(variable)
    dsn = os.environ.get(variable, "").strip()
    if not dsn:
        raise ServiceError(f"{variable} is not set, but {purpose}; {ACCEPTED}")
    parts = _parsed(variable, dsn)
    own = {"connect_timeout": str(CONNECT_SECONDS), "application_name": "trainyard"}
    try:
        connection = psycopg2.connect(**{**own, **parts})
        connection.set_session(isolation_level="READ COMMITTED")
        with connection, connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
    except psycopg2.Error as error:
        raise ServiceError(f"{variable}: {_why(str(error), parts)}") from None
    return connection


def explained(variable: str, error: Exception) -> TrainyardError:
    """What went wrong on a connection that had been made, for people."""
    from psycopg2 import errors

    said = without_credentials((str(error).strip().splitlines() or [type(error).__name__])[0])
    if isinstance(error, errors.InsufficientPrivilege):
        advice = "grant it to the user, or name one that may create a schema and tables"
        return ServiceError(f"{variable}: the user may not do this ({said}); {advice}")
    if isinstance(error, errors.LockNotAvailable):
        return ServiceError(
            f"{variable}: somebody else has kept the tables locked for {LOCK_TIMEOUT}; try again "
            "when that is over"
        )
    return ServiceError(f"{variable}: the database failed: {said}")


def unreadable(url: str) -> bool:
    """Whether a PostgreSQL URL is ambiguous, most likely for what stands in its password."""
    rest = url.partition("://")[2]
    try:
        parts = urlsplit(url)
        readable = parts.port is None or parts.port > 0
    except ValueError:
        readable = False
    return not readable or rest.count("@") > 1 or "@" in rest.partition("/")[2]


def _driver(variable: str) -> Any:
    try:
        import psycopg2
        import psycopg2.extensions
    except ImportError:
        raise ServiceError(
            f"{variable}: psycopg2 is not installed here; pip install psycopg2-binary"
        ) from None
    return psycopg2


def _parsed(variable: str, dsn: str) -> dict[str, str]:
    """The parts of the variable's value.

    Raises:
        ServiceError: it cannot be read; the message quotes nothing of it.
    """
    from psycopg2 import Error, extensions

    scheme, is_url, rest = dsn.partition("://")
    if is_url and re.fullmatch(r"[\w+.-]+", scheme):
        if scheme not in _SCHEMES:
            raise ServiceError(f"{variable}: {scheme[:20]}:// is not accepted; {ACCEPTED}")
        dsn = f"postgresql://{rest}"
        if unreadable(dsn):
            raise ServiceError(f"{variable}: the address cannot be read; {SPECIAL}")
    try:
        parts: dict[str, str] = extensions.parse_dsn(dsn)
    except (Error, ValueError):  # it quotes what it does not understand
        raise ServiceError(f"{variable} cannot be read; {ACCEPTED}; in a URL {SPECIAL}") from None
    if not re.fullmatch(r"[\d,]*", parts.get("port", "")):
        raise ServiceError(f"{variable}: the port is no number; {ACCEPTED}")
    return parts


def _why(text: str, parts: dict[str, str]) -> str:
    """Why no connection was made, and what helps."""
    secrets = (parts.get("password", ""), parts.get("sslpassword", ""))
    lines = [line.strip() for line in text.strip().splitlines()] or ["no reason given"]
    said = without_credentials(hidden(_FAILED.sub("", lines[0]), secrets))
    where = _place(parts)
    if _REFUSED.search(text):
        return f"{where} does not let the user in ({said}); correct user and password"
    if _NO_DATABASE.search(text):
        return f"{where} has no such database ({said}); create it, or name another"
    if _SILENT.search(text):
        return f"no PostgreSQL answers at {where} ({said}); start it, or correct host and port"
    return f"{where} cannot be used: {said}"


def _place(parts: dict[str, str]) -> str:
    host = parts.get("host") or parts.get("hostaddr") or "the local server"
    return f"{host}:{parts['port']}" if parts.get("port") else host
