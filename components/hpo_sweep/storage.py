"""Where a study is kept so that several workers share it: a journal file, or PostgreSQL.

Workers that decide something together (who makes the study, who gets the next trial) do so one
after the other: a lock beside the journal, or an advisory lock of the database.
"""

from __future__ import annotations

import fcntl
import os
import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import optuna
from optuna.storages import (
    BaseStorage,
    JournalStorage,
    RDBStorage,
    RetryHeartbeatStaleTrialCallback,
)
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState

from components.core.credentials import without_credentials
from components.core.errors import InputError, ServiceError
from components.core.postgres import SPECIAL, unreadable
from components.core.state import digest

VARIABLE = "TRAINYARD_OPTUNA_STORAGE"
"""A PostgreSQL URL, or the path of a journal file that all workers see; it may hold a password."""

RETRIES = 10
"""How often a trial is tried again after its worker died."""

WORKER = "worker"
"""Attribute of a trial that has begun: the number of its worker; set while the claim is held."""

warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


class Storage(ABC):
    """A place of studies."""

    studies: BaseStorage
    """Optuna's own face of it."""

    @abstractmethod
    def claim(self, study: str) -> Any:
        """A context in which this worker alone decides on a study."""

    @abstractmethod
    def alive(self, study: str, trial: int) -> Any:
        """A context that shows the others that somebody works on a trial."""

    @abstractmethod
    def recover(self, study: optuna.Study) -> int:
        """Gives trials whose worker died to the queue again; returns how many died.

        The claim has to be held.
        """


class JournalFile(Storage):
    """A journal file; locks beside it say who is alive."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._locks = path.parent / f"{path.name}.locks"
        self._locks.mkdir(exist_ok=True)
        backend = JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path)))
        self.studies = JournalStorage(backend)

    @contextmanager
    def claim(self, study: str) -> Iterator[None]:
        """See `Storage`."""
        with _locked(self._locks / digest(study, 16)):
            yield

    @contextmanager
    def alive(self, study: str, trial: int) -> Iterator[None]:
        """See `Storage`."""
        path = self._trial(study, trial)
        with _locked(path):
            yield
        path.unlink(missing_ok=True)

    def recover(self, study: optuna.Study) -> int:
        """See `Storage`."""
        died = 0
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            mark = self._trial(study.study_name, trial.number)
            with suppress(BlockingIOError), _locked(mark, wait=False):
                if study.trials[trial.number].state == TrialState.RUNNING:  # still
                    retry(study, study.tell(trial.number, state=TrialState.FAIL))
                    died += 1
        return died

    def _trial(self, study: str, trial: int) -> Path:
        return self._locks / f"{digest(study, 16)}-{trial}"


class Postgres(Storage):
    """A PostgreSQL database; workers that are alive say so every so many seconds."""

    def __init__(self, url: str, heartbeat_seconds: int) -> None:
        import psycopg2
        from sqlalchemy.exc import SQLAlchemyError

        rest = url.partition("://")[2]
        self._dsn = f"postgresql://{rest}"
        try:
            with self._connected() as connection, _advisory(connection, "trainyard tables"):
                self.studies = RDBStorage(
                    f"postgresql+psycopg2://{rest}",
                    engine_kwargs={"pool_size": 2, "pool_pre_ping": True},
                    heartbeat_interval=heartbeat_seconds,
                    grace_period=3 * heartbeat_seconds,
                    heartbeat_stale_trial_callback=retry,
                )
        except (psycopg2.Error, SQLAlchemyError) as error:
            raise ServiceError(_unreachable(url, error)) from None

    @contextmanager
    def claim(self, study: str) -> Iterator[None]:
        """See `Storage`."""
        with self._connected() as connection, _advisory(connection, study):
            yield

    @contextmanager
    def alive(self, study: str, trial: int) -> Iterator[None]:
        """See `Storage`; Optuna's heartbeat does it."""
        yield

    def recover(self, study: optuna.Study) -> int:
        """See `Storage`."""
        before = len(study.get_trials(deepcopy=False, states=(TrialState.FAIL,)))
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if WORKER not in trial.user_attrs:  # it died before the claim, and a heartbeat, ended
                retry(study, study.tell(trial.number, state=TrialState.FAIL))
        optuna.storages.fail_stale_trials(study)
        return len(study.get_trials(deepcopy=False, states=(TrialState.FAIL,))) - before

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        import psycopg2

        connection = psycopg2.connect(self._dsn, connect_timeout=10)
        connection.autocommit = True
        try:
            yield connection
        finally:
            connection.close()


def open_storage(default: Path, heartbeat_seconds: int) -> Storage:
    """The storage that the environment names, or a journal file.

    Args:
        default: of the journal file.
        heartbeat_seconds: how often a worker says that it is alive; after three times of silence
            its trial is given to another.

    Raises:
        ServiceError: the storage cannot be used; the message holds no password.
    """
    given = os.environ.get(VARIABLE, "").strip()
    if problem := storage_problem(given):
        raise ServiceError(problem)
    if "://" not in given:
        path = Path(given) if given else default
        try:
            return JournalFile(path)
        except OSError as error:
            raise ServiceError(f"{VARIABLE}: {path} cannot be used ({error.strerror})") from None
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} is damaged, or no journal of Optuna ({error!r}); move it away to search "
                "anew, or give another study_name"
            ) from None
    return Postgres(given, heartbeat_seconds)


def storage_problem(given: str) -> str:
    """What is wrong with the form of the variable's value, never quoting it; '' for nothing."""
    accepted = "expected postgresql://user:password@host/database or the path of a journal file"
    scheme, separator, _ = given.partition("://")
    if not separator:
        if re.search(r"\b(host|user|password|dbname)\s*=", given):
            return f"{VARIABLE}: the form of key=value pairs is not accepted; {accepted}"
        return ""
    if scheme not in ("postgresql", "postgres", "postgresql+psycopg2"):
        return f"{VARIABLE}: {scheme[:20]}:// is not accepted; {accepted}"
    if unreadable(given):
        return f"{VARIABLE}: the address cannot be read; {SPECIAL}"
    return ""


def retry(
    study: optuna.Study, trial: optuna.trial.FrozenTrial, limit: int | None = RETRIES
) -> None:
    """Puts a failed trial into the queue again, unless that was done too often.

    Args:
        limit: how often; None for trials that were stopped in order, which is no fault of theirs.
    """
    RetryHeartbeatStaleTrialCallback(max_retry=limit)(study, trial)


def copy_to_journal(study: optuna.Study, path: Path) -> None:
    """Writes the study into a journal file of its own."""
    backend = JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path)))
    optuna.copy_study(
        from_study_name=study.study_name,
        from_storage=study._storage,
        to_storage=JournalStorage(backend),
    )


def _unreachable(url: str, error: Exception) -> str:
    parts = urlsplit(url)
    said = str(getattr(error, "orig", error)).strip().splitlines() or [type(error).__name__]
    text = without_credentials(said[-1])
    return f"{VARIABLE}: {parts.hostname or 'the database'} cannot be used: {text}"


@contextmanager
def _locked(path: Path, wait: bool = True) -> Iterator[None]:
    with open(path, "a", encoding="utf-8") as file:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


@contextmanager
def _advisory(connection: Any, name: str) -> Iterator[None]:
    """Holds the database's lock of a name; it ends with the connection at the latest."""
    number = int(digest(name, 15), 16)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (number,))
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", (number,))
