"""Runs inside a Job: starts one run on Kubeflow, stays until it ends, and ends as it did.

A pod that takes the place of another one finds the run that its Job has started already. Being
evicted therefore costs nothing: the run goes on, and is ended with `--cancel` only.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from types import FrameType

from components.core.errors import InputError, TrainyardError
from pipelines.backends._kubeflow_api import Document, Kubeflow
from pipelines.backends._kubeflow_follow import Follower, namespace_of
from pipelines.backends._kubeflow_request import Definition, Wanted, run_body
from pipelines.backends._kubeflow_status import is_over, state
from pipelines.backends._kubeflow_upload import ROOT, experiment_of, find_pipeline, runs
from pipelines.run_starter import (
    JOB_UID_VARIABLE,
    JOB_VARIABLE,
    NAMESPACE_VARIABLE,
    RunOrder,
)

SYNC_SECONDS = 60.0
"""How long Kubeflow may need to notice objects that were applied to the cluster."""

_LOOKED_AT = 500
"""Runs, newest first, among which a Job's own is looked for."""


class Starter:
    """One Job's run."""

    def __init__(self, order: RunOrder, job: str, uid: str, namespace: str) -> None:
        """`namespace` is the pod's; servers of many users ask for it, others refuse it."""
        self._order = order
        self._api = Kubeflow.connect(order.namespace or namespace)
        self._mark = f"{order.pipeline}, started by Job {job} ({uid})"
        self._wanted = Wanted(
            Definition(order.pipeline, order.version, (), ""),
            order.experiment or order.pipeline,
            job,
            order.parameters,
            (order.namespace or namespace) if self._api.multi_user else "",
            order.service_account,
        )

    def start(self) -> Document:
        """The run of this Job: found, or created.

        Raises:
            InputError: Kubeflow has no such pipeline or version.
        """
        place = str(experiment_of(self._api, self._wanted)["experiment_id"])
        if run := self._find(place):
            _say(f"run {run['run_id']} was started by this Job already")
            return run
        pipeline, version = self._definition()
        root = os.environ.get(ROOT, "").strip()
        body = run_body(self._wanted, place, pipeline, version, root, self._mark)
        create = self._api.runs.run_service_create_run
        run = self._api.call("create the run", create, body, made=lambda: self._find(place))
        _say(f"run {run['run_id']} of {self._order.pipeline}: {self.page(run)}")
        return run

    def wait(self, run: Document) -> int:
        """Shows the run's steps and logs until it ends; returns 0 where it succeeded, else 1."""
        namespace = namespace_of(self._api, run)
        ended = Follower(self._api, str(run["run_id"]), namespace, _say, _say).follow()
        _say(f"run {run['run_id']}: {state(ended)}: {self.page(run)}")
        return 0 if state(ended) == "succeeded" else 1

    def cancel(self) -> None:
        """Ends the run of this Job, if there is one that goes on."""
        place = str(experiment_of(self._api, self._wanted)["experiment_id"])
        run = self._find(place)
        if run is None or is_over(run):
            _say("there is no run that goes on")
            return
        terminate = self._api.runs.run_service_terminate_run
        self._api.call("end the run", terminate, str(run["run_id"]))
        _say(f"run {run['run_id']} is being ended")

    def page(self, run: Document) -> str:
        """Where people look at a run."""
        return self._api.address.run_page(str(run["run_id"]))

    def _find(self, place: str) -> Document | None:
        recent = islice(runs(self._api, experiment_id=place), _LOOKED_AT)
        return next((run for run in recent if run.get("description") == self._mark), None)

    def _definition(self) -> tuple[str, str]:
        """Ids of the pipeline and of the version; '' for the newest one when the run starts."""
        order, deadline = self._order, time.monotonic() + SYNC_SECONDS
        while True:
            found = find_pipeline(self._api, order.pipeline, self._wanted.namespace)
            pipeline = str(found["pipeline_id"]) if found else ""
            version = self._version(pipeline) if found and order.version else ""
            if found and (version or not order.version):
                return pipeline, version
            if time.monotonic() > deadline:
                absent = f"pipeline {order.pipeline}"
                absent += f" in the version {order.version}" if found else ""
                raise InputError(
                    f"{self._api.address.url} has no {absent}; apply it with trainyard apply, "
                    "where Kubeflow keeps its pipelines in Kubernetes, or upload it"
                )
            time.sleep(2.0)

    def _version(self, pipeline: str) -> str:
        listed = self._api.pages(
            "list the versions of the pipeline",
            self._api.pipelines.pipeline_service_list_pipeline_versions,
            "pipeline_versions",
            pipeline,
            sort_by="created_at desc",
        )
        names = {(v.get("name") or v.get("display_name")): v["pipeline_version_id"] for v in listed}
        return str(names.get(self._order.version, ""))


def main(arguments: Sequence[str]) -> int:
    """Starts or ends the run that a file orders; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.backends._start_run")
    parser.add_argument("order", type=Path, help="JSON file with the run's order")
    parser.add_argument("--wait", action="store_true", help="stay until the run ends")
    parser.add_argument("--cancel", action="store_true", help="end the run that the Job started")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _stop)  # the first process of a container ignores it otherwise
    order = RunOrder(**json.loads(options.order.read_text(encoding="utf-8")))
    job, uid, namespace = (
        os.environ.get(name, "") for name in (JOB_VARIABLE, JOB_UID_VARIABLE, NAMESPACE_VARIABLE)
    )
    try:
        starter = Starter(order, job, uid, namespace)
        if options.cancel:
            starter.cancel()
            return 0
        run = starter.start()
        return starter.wait(run) if options.wait else 0
    except TrainyardError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return error.exit_code


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(143)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
