"""A stage that ends a run tells the registry, which may be as broken as the stage."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from components.core.credentials import without_credentials
from components.core.errors import StoppedError, TrainyardError
from components.core.registry.registry import Registry

SECONDS = 5.0
"""How long a process that has failed waits for the registry."""

LONGEST_REASON = 500


def record_failure(
    key: str,
    stage: str,
    error: BaseException,
    warn: Callable[[str], None],
    seconds: float = SECONDS,
) -> None:
    """Marks a run that is recorded as failed; every problem with that is only warned about.

    Args:
        key: of the run.
        stage: the one that failed.
        error: why.
        warn: is told what went wrong here.
        seconds: after these it is given up.
    """
    stopped = isinstance(error, StoppedError | KeyboardInterrupt)
    told = partial(Registry.fail_run, key=key, stage=stage, reason=reason(error), stopped=stopped)
    _tell(told, "failed", warn, seconds)


def record_skip(key: str, stage: str, why: str, warn: Callable[[str], None]) -> None:
    """Marks a run that is recorded as ended early, because there is nothing to train."""
    told = partial(Registry.skip_run, key=key, stage=stage, reason=why)
    _tell(told, "was skipped", warn, SECONDS)


def _tell(
    change: Callable[[Registry], object], how: str, warn: Callable[[str], None], seconds: float
) -> None:
    problems: list[str] = []

    def record() -> None:
        try:
            with Registry() as registry:
                change(registry)
        except Exception as problem:
            problems.append(without_credentials(str(problem) or type(problem).__name__))

    # In a thread of its own: looking up the name of a host, for one, has no time limit.
    thread = threading.Thread(target=record, daemon=True, name="registry")
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        problems.append(f"it gave no answer within {seconds:g} s")
    for problem in problems:
        warn(f"the registry was not told that this run {how}: {problem}")


def reason(error: BaseException) -> str:
    """An error in one line, without credentials."""
    if isinstance(error, KeyboardInterrupt):
        return "stopped by Ctrl-C"
    if isinstance(error, StoppedError):
        return "stopped by a signal"
    text = without_credentials(_in_one_line(str(error).replace("\0", "")))
    if not isinstance(error, TrainyardError):  # the message alone says little
        text = f"{type(error).__name__}: {text}".removesuffix(": ")
    return text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 1]}…"


def _in_one_line(text: str) -> str:
    """Lines after one another, and the points of a list with semicolons between them."""
    found = ""
    for line in text.splitlines():
        words = " ".join(line.split())
        point = words.removeprefix("- ")
        between = "; " if point != words and not found.endswith(":") else " "
        found += f"{between if found else ''}{point}"
    return found
