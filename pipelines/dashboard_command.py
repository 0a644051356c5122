"""`trainyard dashboard`: a hyper-parameter search in the browser, finished or still going on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import click

from components.core.artifacts import base
from components.core.artifacts.study import JOURNAL, Study
from components.core.errors import InputError, SettingsError, TrainyardError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

STORAGE = "TRAINYARD_OPTUNA_STORAGE"
STOPPED = 130

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@click.command()
@click.argument("study", required=False, type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port",
    default=8080,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="0 takes any that is free.",
)
@click.option("--dry-run", is_flag=True, help="Check everything and say what there is to see.")
def dashboard(study: Path | None, host: str, port: int, dry_run: bool) -> None:
    """Show STUDY in the browser until Ctrl-C; a search that goes on is shown as it goes.

    STUDY is a Study folder, a run folder that holds one, or Optuna's journal file; without it, what
    TRAINYARD_OPTUNA_STORAGE names. The dashboard is for looking: it changes nothing.
    """
    storage = _file_storage(journal(study)) if study else _shared_storage()
    names = [found.study_name for found in storage.get_all_studies()]
    application = read_only(_application(storage))
    with _listening(host, port, application) as server:
        listed = ", ".join(names) or "no study yet"
        click.echo(f"http://{host}:{server.server_port}/dashboard shows {listed}")
        if dry_run:
            return
        click.echo("Ctrl-C ends it")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            raise SystemExit(STOPPED) from None


def journal(place: Path) -> Path:
    """The journal file of a Study folder, of a run folder that holds one, or the file itself.

    Raises:
        InputError: there is none, or there are several studies.
    """
    if place.is_file():
        return place
    accepted = "expected a Study folder, a run folder that holds one, or a journal file"
    if not place.is_dir():
        raise InputError(f"{place} does not exist; {accepted}")
    folder = base.resolve(place)
    if not (folder / Study.FILE).is_file() and (folder / JOURNAL).is_file():
        return folder / JOURNAL  # of a search that goes on
    found = {path.parent: Study.load(path.parent) for path in folder.rglob(Study.FILE)}
    if not found:
        raise InputError(f"{place} holds no study; {accepted}")
    if len({study.name for study in found.values()}) > 1:
        listed = "\n".join(f"  - {path}" for path in sorted(found))
        raise InputError(f"{place} holds several studies; name one of them:\n{listed}")
    most = max(sorted(found), key=lambda path: len(found[path].trials))  # of several workers
    if not (most / JOURNAL).is_file():
        raise InputError(f"{most}: {JOURNAL} is missing; run the sweep again to have it written")
    return most / JOURNAL


def read_only(application: Application) -> Application:
    """The same application without requests that change something."""

    def reading(environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environment["REQUEST_METHOD"] in ("GET", "HEAD"):
            return application(environment, start)
        start("403 Forbidden", [("Content-Type", "application/json")])
        return [b'{"reason": "trainyard dashboard shows studies and changes nothing"}']

    return reading


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: a page asks every few seconds."""


def _file_storage(path: Path) -> BaseStorage:
    _require_dashboard()
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    try:
        storage = JournalStorage(JournalFileBackend(str(path)))
        studies = storage.get_all_studies()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        studies = []
    if not studies:
        raise InputError(f"{path} is no journal of Optuna, or holds no study yet")
    return storage


def _shared_storage() -> BaseStorage:
    given = os.environ.get(STORAGE, "").strip()
    if not given:
        text = f"name a Study folder, a run folder or a journal file, or set {STORAGE}"
        raise SettingsError([text], "the command line")
    if "://" not in given:
        return _file_storage(journal(Path(given)))
    _require_dashboard()
    from components.hpo_sweep.storage import open_storage

    return open_storage(Path(), heartbeat_seconds=60).studies


def _require_dashboard() -> None:
    try:
        import optuna
        import optuna_dashboard  # noqa: F401
    except ModuleNotFoundError as error:
        raise TrainyardError(
            f"{error.name} is not installed here; run: pip install 'trainyard[dashboard]'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def _application(storage: BaseStorage) -> Application:
    import optuna_dashboard

    made: Application = optuna_dashboard.wsgi(storage)
    return made


def _listening(host: str, port: int, application: Application) -> WSGIServer:
    try:
        return make_server(host, port, application, _Server, _Quiet)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise SettingsError(
            [f"cannot listen at {host}:{port}: {why}; give another --port (0 for any) or --host"],
            "the command line",
        ) from None
