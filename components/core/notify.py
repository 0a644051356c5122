"""Tells people how a run ended: one POST to a webhook, in the form that Slack and its kin take.

The address is a secret, because whoever has it can post: it is read from the environment only, and
no message or error holds more of it than its host.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from components.core.credentials import without_credentials

WEBHOOK_VARIABLE = "TRAINYARD_WEBHOOK_URL"
KUBEFLOW_URL = "TRAINYARD_KUBEFLOW_URL"
"""Environment variables: where to post, and where people look at runs on Kubeflow."""

TIMEOUT_SECONDS = 10.0
RETRY_SECONDS = 1.0
LONGEST_LINE = 200
LONGEST_ANSWER = 2**16

_USER_IN_URL = re.compile(r"(?<=://)[^\s/@]+@")
_FOLDERS = re.compile(r"(?<![\w:/<>.…])/(?:[^\s/:;,'\"()]+/)+")
"""Of an absolute path, all but its last name."""
_SHORTEST_HIDDEN = 4
_WRONG_ADDRESS = f"{WEBHOOK_VARIABLE} is no http:// or https:// address with a host"


@dataclass(frozen=True)
class Ending:
    """How a run ended; every text may be read by anybody who reads the channel."""

    pipeline: str
    run: str
    state: str
    """`succeeded`, `failed` or `cancelled`; `has ended` where nobody knows how."""
    failed_step: str = ""
    error: str = ""
    """Of which only the first line is told, of several problems the first one."""
    seconds: float | None = None
    """None where nobody measured."""
    ended_early: bool = False
    """It succeeded because there was nothing to do."""
    link: str = ""
    """A page that shows the run; '' where there is none."""


def notify(ending: Ending, parameters: Mapping[str, Any] | None = None) -> str:
    """Posts the ending to the webhook of the environment; does nothing where there is none.

    Args:
        ending: what to tell.
        parameters: of the run; values of theirs in the error's line are replaced by their names.

    Returns:
        Why it could not be told, for a warning; '' when it was, or when nobody asked to be.
    """
    url = os.environ.get(WEBHOOK_VARIABLE, "").strip()
    if not url:
        return ""
    host = _host(url)
    if not host:
        return f"{_WRONG_ADDRESS}; nobody was notified"
    problem = _post(url, json.dumps(message(ending, parameters or {})).encode())
    return f"the webhook at {host} was not notified: {problem}" if problem else ""


def address_problem() -> str:
    """What is wrong with the webhook's address in the environment; '' where it is right or unset.

    It never quotes the address.
    """
    url = os.environ.get(WEBHOOK_VARIABLE, "").strip()
    accepted = "expected one such as https://hooks.example.org/services/…; correct or unset it"
    return f"{_WRONG_ADDRESS}; {accepted}" if url and not _host(url) else ""


def notify_status(pipeline: str, run: str, run_id: str, state: str, error: str) -> None:
    """`notify` for the last task of a run on Kubeflow, which nothing may fail any more.

    Args:
        pipeline: its name.
        run: its name.
        run_id: its id, for the link to its page.
        state: Kubeflow's word for how everything before ended: SUCCEEDED, FAILED, CANCELLED.
        error: Kubeflow's message about it; '' after success.
    """
    host = os.environ.get(KUBEFLOW_URL, "").rstrip("/")
    link = f"{_USER_IN_URL.sub('', host)}/#/runs/details/{run_id}" if host else ""
    ended = state.lower()
    if ended not in ("succeeded", "failed", "cancelled"):  # of loops some servers do not know
        ended = "failed" if error else "has ended"
    if problem := notify(Ending(pipeline, run, ended, error=error, link=link)):
        print(f"warning: {problem}", file=sys.stderr, flush=True)


def message(ending: Ending, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The document to post: `text` for people, and the same in fields for programs."""
    error = public(_first_problem(ending.error), parameters)
    if len(error) > LONGEST_LINE:
        error = f"{error[: LONGEST_LINE - 1]}…"
    state = "had nothing to do" if ending.ended_early else ending.state
    took = f" after {_duration(ending.seconds)}" if ending.seconds is not None else ""
    step = f" in {ending.failed_step}" if ending.failed_step else ""
    text = "\n".join(
        filter(None, [f"{ending.pipeline} {state}{step}{took} (run {ending.run})", error])
    )
    for character, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(character, escaped)
    return {
        "text": f"{text}\n{ending.link}" if ending.link else text,
        "pipeline": ending.pipeline,
        "run": ending.run,
        "state": ending.state,
        "ended_early": ending.ended_early,
        "failed_step": ending.failed_step,
        "error": error,
        "duration_seconds": None if ending.seconds is None else round(ending.seconds, 1),
        "link": ending.link,
    }


def public(line: str, parameters: Mapping[str, Any]) -> str:
    """The line without credentials of the environment, values of parameters and local folders."""
    line = without_credentials(line)
    hidden = {text: f"<{name}>" for name, value in parameters.items() for text in _texts(value)}
    for value in sorted(hidden, key=len, reverse=True):
        if len(value) >= _SHORTEST_HIDDEN:
            line = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", hidden[value], line)
    return _FOLDERS.sub("…/", line)


def _first_problem(error: str) -> str:
    """The first line of an error; where it counts a list of problems, the first of them too."""
    first, *others = error.strip().splitlines() or [""]
    listed = bool(others) and first.endswith(":") and others[0].startswith("  - ")
    return f"{first} {others[0].removeprefix('  - ')}" if listed else first


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        value = [*value, *value.values()]
    return [text for item in value for text in _texts(item)] if isinstance(value, list) else []


def _host(url: str) -> str:
    """The host of an address that can be posted to; '' for any other."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:
        return ""
    return parts.hostname or "" if sound and not re.search(r"[\s\x00-\x1f]", url) else ""


def _post(url: str, content: bytes) -> str:
    """Why it could not be posted; '' when it was."""
    headers = {"Content-Type": "application/json", "User-Agent": "trainyard"}
    problem = ""
    for attempt in range(2):
        if attempt:
            time.sleep(RETRY_SECONDS)
        try:
            request = urllib.request.Request(url, content, headers, method="POST")
            opener = urllib.request.build_opener(_NoRedirect)
            with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                answer.read(LONGEST_ANSWER)  # a server that is cut short may count it as an error
                return ""
        except urllib.error.HTTPError as error:
            problem = f"it answered {error.code} {http.client.responses.get(error.code, '')}"
            if error.code < 500 and error.code != http.HTTPStatus.TOO_MANY_REQUESTS:
                break
        except (OSError, http.client.HTTPException, ValueError) as error:
            problem = _why(error)
    return problem.rstrip()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET, and nobody would be told."""

    def redirect_request(self, *arguments: Any) -> None:
        return None


def _why(error: Exception) -> str:
    """What went wrong, in words that never quote the address."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError):
        return f"no answer within {TIMEOUT_SECONDS:g} s"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return type(reason).__name__


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
