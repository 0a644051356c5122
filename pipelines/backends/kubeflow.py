"""The Kubeflow backend: a pipeline is uploaded once, and every run of it is started over HTTP."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from components.core.errors import InputError, ServiceError
from pipelines.backends import Request, RunStatus
from pipelines.backends._kubeflow_api import Document, Kubeflow, plain
from pipelines.backends._kubeflow_follow import Follower, namespace_of
from pipelines.backends._kubeflow_named import existing_run, find_run
from pipelines.backends._kubeflow_request import run_body, shared_documents, wanted_run
from pipelines.backends._kubeflow_status import is_over, run_status, state, steps
from pipelines.backends._kubeflow_upload import create_run, prepare


class KubeflowBackend:
    """Runs on a server of Kubeflow Pipelines 2; a run has an id there, and a name."""

    def render(self, request: Request) -> dict[str, Any]:
        """The requests that start the run; ids that only a server can give are in `<…>`.

        Raises:
            SettingsError: everything that is wrong with the run.
        """
        wanted = wanted_run(request)
        body = run_body(wanted, "<experiment>", "<pipeline>", "<version>")
        return {**shared_documents(wanted), "run": plain(body)}

    def run(self, request: Request) -> int:
        """Starts the run, follows it if asked to, and fetches its outputs; the exit code."""
        run = self.submit(request)
        namespace = request.cluster.namespace if request.cluster else ""
        if not request.follow:
            _say(_how_to_go_on(run, namespace))
            return 0
        code = self.follow(run, namespace)
        if code == 0 and request.output is not None:
            self.fetch(run, request.output)
        return code

    def submit(self, request: Request) -> str:
        """Starts the run, unless one of this name and request is there: that one goes on.

        With `resume` it is the newest one of this name, whatever it was asked for.
        """
        wanted = wanted_run(request)
        for warning in wanted.definition.warnings:
            _say(warning)
        api = Kubeflow.connect(wanted.namespace)
        api.require_namespace_known(wanted.namespace)
        if found := existing_run(api, wanted, request.resume) if request.name else None:
            run = _resumed(api, found)
        else:
            run = str(create_run(api, wanted, prepare(api, wanted))["run_id"])
        _say(f"run {run}: {api.address.run_page(run)}")
        return run

    def status(self, run: str, namespace: str) -> RunStatus:
        """How far a run is, by id or name; InputError where there is none."""
        api, run = find_run(run, namespace)
        return run_status(_read(api, run), api.address.run_page(run))

    def follow(self, run: str, namespace: str) -> int:
        """Shows steps and logs until the run ends; 0 when it succeeded. Ctrl-C leaves it be."""
        api, run = find_run(run, namespace)
        where = namespace or namespace_of(api, _read(api, run))
        try:
            ended = Follower(api, run, where, _show, _say).follow()
        except KeyboardInterrupt:
            _say(f"\nthe run goes on without this terminal\n{_how_to_go_on(run, namespace)}")
            return 130
        except ServiceError as error:
            raise ServiceError(f"{error}\n{_how_to_go_on(run, namespace)}") from None
        status = run_status(ended, api.address.run_page(run))
        why = f": {status.detail}" if status.detail and status.state != "succeeded" else ""
        _say(f"run {run} {status.state}{why}\n{status.url}")
        return 0 if status.state == "succeeded" else 1

    def cancel(self, run: str, namespace: str) -> None:
        """Ends a run, by id or name.

        Raises:
            InputError: there is none, or it is over already.
        """
        api, run = find_run(run, namespace)
        found = _read(api, run)
        if is_over(found):
            raise InputError(f"run {run} is over already: it {_ended(found)}")
        api.call("end the run", api.runs.run_service_terminate_run, run)

    def fetch(self, run: str, folder: Path) -> None:
        """Writes the run's outputs into a new folder.

        Raises:
            InputError: the run goes on, or has written nothing, or the folder holds something.
        """
        from pipelines.backends._kubeflow_outputs import fetch_outputs

        api = Kubeflow.connect()
        found = _read(api, run)
        if not is_over(found):
            raise InputError(f"run {run} is {state(found)}; its outputs are whole when it is over")
        if reused := ", ".join(step.status.task for step in steps(found) if step.reused):
            _say(f"not among the outputs, as an earlier run has written theirs: {reused}")
        fetch_outputs(api, found, folder, _say)


def _read(api: Kubeflow, run: str) -> Document:
    return api.call(f"find run {run}", api.runs.run_service_get_run, run)


def _resumed(api: Kubeflow, found: Document) -> str:
    """The id of a run that is there; if it has failed or was ended, it is tried again."""
    run, now = str(found["run_id"]), state(found)
    _say(f"there is a run {found.get('display_name')!r} already; it {_ended(found)}")
    if now in ("failed", "cancelled"):
        api.call("resume the run", api.runs.run_service_retry_run, run)
        _say("it is tried again; what succeeded is kept")
    return run


def _ended(run: Document) -> str:
    now = state(run)
    if now == "cancelled":
        return "was cancelled"
    return now if now in ("failed", "succeeded") else f"is {now}"


def _how_to_go_on(run: str, namespace: str) -> str:
    where = f" --namespace {namespace}" if namespace else ""
    return (
        f"to follow it: trainyard follow {run} --backend kubeflow{where}\n"
        f"to end it:    trainyard cancel {run} --backend kubeflow{where}"
    )


def _show(text: str) -> None:
    print(text, flush=True)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


BACKEND = KubeflowBackend()
