"""The MongoDB that an environment variable names; no message holds a password."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from components.core.credentials import without_credentials
from components.core.errors import InputError, ServiceError

VARIABLE = "TRAINYARD_MONGODB_URI"
"""A MongoDB URI; it may hold a password."""

DATABASE = "annotations"
"""The database, where the URI does not name one."""

ACCEPTED = "expected mongodb://user:password@host:27017/database"
SPECIAL = "write special characters of user and password as %XX, such as %40 for @ and %2F for /"

CONNECT_MS = 5000
SOCKET_MS = 600_000
WAITS = (1.0, 2.0, 4.0, 8.0)
"""Seconds before the work on a connection that broke is tried again."""

_REFUSED = (11, 18, 8000)
"""Codes of MongoDB: no such user, authentication failed, Atlas's word for it."""
_UNAUTHORIZED = 13

Answer = TypeVar("Answer")


def connect() -> tuple[Any, Any]:
    """A client and its database; the server has been asked and lets us read there.

    Raises:
        ServiceError: the variable is not set or cannot be read, or the server does not let us in.
    """
    uri = os.environ.get(VARIABLE, "").strip()
    if not uri:
        raise ServiceError(
            f"{VARIABLE} is not set, but annotations are kept in MongoDB; {ACCEPTED}"
        )
    client = _client(uri)
    try:
        database = client.get_default_database(DATABASE)
        with explained(client):
            database["tasks"].find_one({}, {"_id": 1})
    except BaseException:
        client.close()
        raise
    return client, database


@contextmanager
def explained(client: Any) -> Iterator[None]:
    """Turns what pymongo raises into words for people.

    Raises:
        ServiceError: the server is not there or refuses us.
        InputError: a document that MongoDB cannot hold.
    """
    from bson.errors import BSONError, InvalidDocument
    from pymongo import errors

    try:
        yield
    except errors.ConnectionFailure as error:
        where = ", ".join(f"{host}:{port}" for host, port in _hosts(client))
        raise ServiceError(
            f"{VARIABLE}: no MongoDB answers at {where} ({_said(error)}); start it, or correct "
            "host and port"
        ) from None
    except errors.OperationFailure as error:
        raise ServiceError(f"{VARIABLE}: {_why(error, client)}") from None
    except (errors.DocumentTooLarge, InvalidDocument, BSONError, OverflowError) as error:
        raise InputError(f"an annotation that MongoDB cannot hold: {_said(error)}") from None
    except errors.PyMongoError as error:
        raise ServiceError(f"{VARIABLE}: {_said(error)}; {ACCEPTED}; {SPECIAL}") from None


def patiently(work: Callable[..., Answer], *arguments: Any, **named: Any) -> Answer:
    """Calls what may be done twice; again, after a pause, when the connection breaks."""
    from pymongo.errors import AutoReconnect, ServerSelectionTimeoutError

    for seconds in WAITS:
        try:
            return work(*arguments, **named)
        except ServerSelectionTimeoutError:
            raise
        except AutoReconnect:
            time.sleep(seconds)
    return work(*arguments, **named)


def _client(uri: str) -> Any:
    """A client; it has not connected yet.

    Raises:
        ServiceError: the URI cannot be read; the message quotes nothing of it.
    """
    try:
        import pymongo
        from pymongo import errors, uri_parser
    except ImportError:
        raise ServiceError(
            f"{VARIABLE}: pymongo is not installed here; pip install pymongo"
        ) from None
    if not uri.startswith(("mongodb://", "mongodb+srv://")):
        raise ServiceError(f"{VARIABLE} cannot be read; {ACCEPTED}")
    own: dict[str, Any] = {
        "serverSelectionTimeoutMS": CONNECT_MS,
        "connectTimeoutMS": CONNECT_MS,
        "socketTimeoutMS": SOCKET_MS,
        "appname": "trainyard",
    }
    try:
        given = {name.lower() for name in uri_parser.parse_uri(uri)["options"]}
        return pymongo.MongoClient(
            uri, **{name: value for name, value in own.items() if name.lower() not in given}
        )
    except (errors.PyMongoError, ValueError):  # it quotes what it does not understand
        raise ServiceError(f"{VARIABLE} cannot be read; {ACCEPTED}; {SPECIAL}") from None


def _hosts(client: Any) -> list[tuple[str, int]]:
    return sorted(client.topology_description.server_descriptions())


def _why(error: Any, client: Any) -> str:
    """Why the server refuses, and what helps."""
    where = ", ".join(f"{host}:{port}" for host, port in _hosts(client))
    said = _said(error)
    if error.code in _REFUSED:
        advice = "correct user and password, or the database of the user as ?authSource=admin"
        return f"{where} does not let the user in ({said}); {advice}"
    if error.code == _UNAUTHORIZED:
        advice = "name a user who has the role readWrite on the database"
        return f"{where} does not permit this ({said}); {advice}"
    return f"{where} failed: {said}"


def _said(error: Exception) -> str:
    """The first sentence of an error."""
    text = str(error).partition(", full error:")[0].partition(", Timeout:")[0]
    return without_credentials((text.strip().splitlines() or [type(error).__name__])[0])[:300]
