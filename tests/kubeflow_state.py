"""What the Kubeflow Pipelines server of the tests knows and does.

It answers in the shapes of Kubeflow Pipelines 2.17 (fields, names of lists, paging, bodies of
errors, as its API definition and its handlers give them) and is as strict: unknown fields, missing
or mistyped runtime parameters, taken names and bad schedules are refused. Runs do nothing by
themselves: a test tells what the server will say about them.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import yaml
from kubeflow_runs import written

Document = dict[str, Any]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 429: 8, 500: 13, 503: 14}
"""HTTP status → gRPC code, as grpc-gateway pairs them."""

_FIELDS = {
    "pipeline": {"name", "display_name", "description", "namespace", "tags"},
    "experiment": {"display_name", "description", "namespace"},
    "run": {
        "experiment_id", "display_name", "description", "pipeline_version_reference",
        "pipeline_spec", "runtime_config", "service_account",
    },
    "recurring_run": {
        "display_name", "description", "pipeline_version_reference", "pipeline_spec",
        "runtime_config", "service_account", "max_concurrency", "trigger", "mode", "no_catchup",
        "namespace", "experiment_id",
    },
    "pipeline_version_reference": {"pipeline_id", "pipeline_version_id"},
    "runtime_config": {"parameters", "pipeline_root"},
    "trigger": {"cron_schedule", "periodic_schedule"},
    "cron_schedule": {"cron", "start_time", "end_time"},
    "periodic_schedule": {"interval_second", "start_time", "end_time"},
}  # fmt: skip
"""Fields that a request may hold."""

_TYPES: dict[str, Callable[[Any], bool]] = {
    "STRING": lambda value: isinstance(value, str),
    "NUMBER_INTEGER": lambda value: (
        isinstance(value, int | float) and not isinstance(value, bool) and value == int(value)
    ),
    "NUMBER_DOUBLE": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "BOOLEAN": lambda value: isinstance(value, bool),
    "LIST": lambda value: isinstance(value, list),
    "STRUCT": lambda value: isinstance(value, dict),
}


class RefusedError(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    def body(self) -> Document:
        text, code = str(self), _CODES.get(self.status, 2)
        details = [{"@type": "type.googleapis.com/google.rpc.Status", "code": code}]
        return {"error": text, "code": code, "message": text, "details": details}


@dataclass
class Fault:
    """What happens to the next requests whose path begins so, instead of or after the work."""

    path: str
    times: int = 1
    method: str = ""
    status: int = 0
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    """Seconds before the answer."""
    lose_answer: bool = False
    """The work is done, and the connection dies."""


@dataclass
class Asked:
    """A request as it came in."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    token: str


class KubeflowServer:
    """State and behaviour; `url` is where it listens."""

    def __init__(self) -> None:
        self.pipelines: dict[str, Document] = {}
        self.versions: dict[str, Document] = {}
        self.experiments: dict[str, Document] = {}
        self.runs: dict[str, Document] = {}
        self.schedules: dict[str, Document] = {}
        self.stories: dict[str, list[Document]] = {}
        """Run → what each look at it adds; the last one stays."""
        self.story: list[Document] = []
        """The one of every new run."""
        self.logs: dict[str, str] = {}
        self.pods: dict[str, Document] = {}
        self.log_path = "/k8s/pod/logs"
        self.token = ""
        """The one that is accepted; '' asks for none."""
        self.multi_user = False
        self.tag_name = "2.17.0"
        self.largest_page = 100
        self.faults: list[Fault] = []
        self.asked: list[Asked] = []
        self.url = ""
        self._clock = 0
        self._lock = threading.RLock()

    def posted(self, path: str) -> list[Asked]:
        """The POST requests for a path."""
        return [asked for asked in self.asked if asked.method == "POST" and asked.path == path]

    def answer(self, asked: Asked) -> Any:
        """What the server says: a document, or text for people."""
        with self._lock:
            self.asked.append(asked)
            if self.token and asked.token != self.token:
                raise RefusedError(401, "Unauthenticated: the request has no valid token")
            for method, pattern, act in self._routes():
                if method == asked.method and (match := re.fullmatch(pattern, asked.path)):
                    return act(asked, *map(unquote, match.groups()))
            raise RefusedError(404, "Not Found")

    def _routes(self) -> list[tuple[str, str, Callable[..., Any]]]:
        api, one = "/apis/v2beta1", "([^/:]+)"
        pipeline, schedule = f"{api}/pipelines/{one}", f"{api}/recurringruns/{one}"
        return [
            ("GET", f"{api}/healthz", self._healthz),
            ("GET", f"{api}/pipelines/names/{one}", self._pipeline_by_name),
            ("POST", f"{api}/pipelines/upload_version", self._upload_version),
            ("POST", f"{api}/pipelines", self._create_pipeline),
            ("GET", pipeline, lambda a, i: _one(self.pipelines, "Pipeline", i)),
            ("GET", f"{pipeline}/versions", self._list_versions),
            ("GET", f"{api}/experiments", self._list_experiments),
            ("POST", f"{api}/experiments", self._create_experiment),
            ("GET", f"{api}/experiments/{one}", lambda a, i: _one(self.experiments, "Exp", i)),
            ("POST", f"{api}/runs", self._create_run),
            ("GET", f"{api}/runs", self._list_runs),
            ("GET", f"{api}/runs/{one}", self._get_run),
            ("POST", f"{api}/runs/{one}:terminate", self._terminate),
            ("POST", f"{api}/runs/{one}:retry", self._retry),
            ("POST", f"{api}/recurringruns", self._create_schedule),
            ("GET", f"{api}/recurringruns", self._list_schedules),
            ("DELETE", schedule, self._delete_schedule),
            ("POST", f"{schedule}:enable", lambda a, i: self._switch(i, "ENABLED")),
            ("POST", f"{schedule}:disable", lambda a, i: self._switch(i, "DISABLED")),
            ("GET", self.log_path, lambda a: self._log(a.query["podname"])),
            ("GET", f"/apis/v1alpha1/runs/{one}/nodes/{one}/log", self._old_log),
            ("GET", "/k8s/pod", lambda a: _one(self.pods, "Pod", a.query["podname"])),
        ]

    def _healthz(self, asked: Asked) -> Document:
        return {"commit_sha": "0" * 40, "tag_name": self.tag_name, "multi_user": self.multi_user}

    def _pipeline_by_name(self, asked: Asked, name: str) -> Document:
        wanted = (asked.query.get("namespace", ""), name)
        for found in self.pipelines.values():
            if (found.get("namespace", ""), found["name"]) == wanted:
                return found
        raise RefusedError(404, f"Failed to get a pipeline by name {name}: ResourceNotFoundError")

    def _create_pipeline(self, asked: Asked) -> Document:
        body = _checked(asked.body, "pipeline")
        if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,126}[a-z0-9])?", body.get("name", "")):
            raise RefusedError(400, f"Invalid input error: pipeline name {body.get('name')!r}")
        same = (body.get("namespace", ""), body["name"])
        if any((p.get("namespace", ""), p["name"]) == same for p in self.pipelines.values()):
            raise RefusedError(409, f"Already exist error: Pipeline {body['name']} already exists")
        return self._keep(self.pipelines, "pipeline_id", body)

    def _upload_version(self, asked: Asked) -> Document:
        pipeline = _one(self.pipelines, "Pipeline", asked.query.get("pipelineid", ""))
        documents = list(yaml.load_all(asked.body["uploadfile"], Loader=_LOADER))
        if not documents or "pipelineInfo" not in documents[0]:
            raise RefusedError(400, "Invalid input error: unknown template format")
        name = asked.query["name"]
        for version in self.versions.values():
            if (version["pipeline_id"], version["name"]) == (pipeline["pipeline_id"], name):
                raise RefusedError(409, f"Already exist error: version {name} already exists")
        spec = documents[0]
        if len(documents) > 1:
            spec = {"pipeline_spec": documents[0], "platform_spec": documents[1]}
        body = {
            "pipeline_id": pipeline["pipeline_id"],
            "name": name,
            "display_name": asked.query.get("display_name", name),
            "pipeline_spec": spec,
        }
        return self._keep(self.versions, "pipeline_version_id", body)

    def _list_versions(self, asked: Asked, pipeline: str) -> Document:
        _one(self.pipelines, "Pipeline", pipeline)
        found = [v for v in self.versions.values() if v["pipeline_id"] == pipeline]
        return self._page(asked, "pipeline_versions", found)

    def _list_experiments(self, asked: Asked) -> Document:
        return self._page(asked, "experiments", self._in_namespace(asked, self.experiments))

    def _create_experiment(self, asked: Asked) -> Document:
        body = _checked(asked.body, "experiment")
        self._require_namespace(body.get("namespace", ""))
        if any(e["display_name"] == body["display_name"] for e in self.experiments.values()):
            raise RefusedError(409, "Already exist error: the experiment name is taken")
        return self._keep(self.experiments, "experiment_id", body)

    def _create_run(self, asked: Asked) -> Document:
        body = _checked(asked.body, "run")
        _one(self.experiments, "Experiment", body["experiment_id"])
        version = self._version(body["pipeline_version_reference"])
        self._check_parameters(version, body.get("runtime_config", {}).get("parameters", {}))
        made = self._keep(self.runs, "run_id", {**body, "state": "PENDING"})
        self.stories[made["run_id"]] = list(self.story)
        return made

    def _list_runs(self, asked: Asked) -> Document:
        wanted, namespace = (asked.query.get(key, "") for key in ("experiment_id", "namespace"))
        if not wanted:
            self._require_namespace(namespace)
        own = {e: made.get("namespace", "") for e, made in self.experiments.items()}
        found = [
            run
            for run in self.runs.values()
            if run["experiment_id"] == wanted
            or (not wanted and own[run["experiment_id"]] == namespace)
        ]
        for predicate in json.loads(asked.query.get("filter", "{}")).get("predicates", []):
            if set(predicate) != {"operation", "key", "stringValue"}:
                raise RefusedError(400, f"Invalid input error: predicate {predicate}")
            if predicate["operation"] != "EQUALS":
                raise RefusedError(400, f"Invalid input error: operation {predicate}")
            found = [r for r in found if r[predicate["key"]] == predicate["stringValue"]]
        return self._page(asked, "runs", found)

    def _get_run(self, asked: Asked, run: str) -> Document:
        found = _one(self.runs, "Run", run)
        story = self.stories.get(run)
        if story:
            found |= story.pop(0) if len(story) > 1 else story[0]
        return found

    def _terminate(self, asked: Asked, run: str) -> Document:
        _one(self.runs, "Run", run)["state"] = "CANCELED"
        return {}

    def _retry(self, asked: Asked, run: str) -> Document:
        found = _one(self.runs, "Run", run)
        if found["state"] not in ("FAILED", "CANCELED"):
            raise RefusedError(400, f"Invalid input error: run {run} cannot be retried")
        found["state"] = "RUNNING"
        return {}

    def _create_schedule(self, asked: Asked) -> Document:
        body = _checked(asked.body, "recurring_run")
        _one(self.experiments, "Experiment", body["experiment_id"])
        version = self._version(body["pipeline_version_reference"])
        self._check_parameters(version, body.get("runtime_config", {}).get("parameters", {}))
        if not 1 <= int(body["max_concurrency"]) <= 10:
            raise RefusedError(400, "Invalid input error: max_concurrency must be in [1, 10]")
        _check_trigger(body["trigger"])
        status = "ENABLED" if body.pop("mode", "") == "ENABLE" else "DISABLED"
        # As the server does, times come back in its own writing, and what is unset not at all.
        for trigger in body["trigger"].values():
            for key in ("start_time", "end_time"):
                if key in trigger:
                    trigger[key] = written(datetime.fromisoformat(trigger[key]))
        if not body.get("no_catchup"):
            body.pop("no_catchup", None)
        return self._keep(self.schedules, "recurring_run_id", {**body, "status": status})

    def _list_schedules(self, asked: Asked) -> Document:
        return self._page(asked, "recurringRuns", self._in_namespace(asked, self.schedules))

    def _delete_schedule(self, asked: Asked, schedule: str) -> Document:
        _one(self.schedules, "Recurring run", schedule)
        del self.schedules[schedule]
        return {}

    def _switch(self, schedule: str, status: str) -> Document:
        _one(self.schedules, "Recurring run", schedule)["status"] = status
        return {}

    def _log(self, pod: str) -> str:
        if pod not in self.logs:
            raise RefusedError(500, "Could not get main container logs: pod not found")
        return self.logs[pod]

    def _old_log(self, asked: Asked, run: str, pod: str) -> str:
        _one(self.runs, "Run", run)
        return self._log(pod)

    def _version(self, reference: Document) -> Document:
        """The version that is meant; the newest where none is named."""
        pipeline = _one(self.pipelines, "Pipeline", reference.get("pipeline_id", ""))
        if version := reference.get("pipeline_version_id"):
            return _one(self.versions, "PipelineVersion", version)
        own = [v for v in self.versions.values() if v["pipeline_id"] == pipeline["pipeline_id"]]
        if not own:
            raise RefusedError(400, "Invalid input error: the pipeline has no versions")
        return max(own, key=lambda version: version["created_at"])

    def _check_parameters(self, version: Document, given: Document) -> None:
        spec = version["pipeline_spec"].get("pipeline_spec", version["pipeline_spec"])
        declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
        for name, about in declared.items():
            if name not in given:
                if not about.get("isOptional"):
                    raise RefusedError(
                        400, f"Invalid input error: parameter {name} is not optional"
                    )
            elif not _TYPES[about["parameterType"]](given[name]):
                raise RefusedError(
                    400,
                    f"Invalid input error: input parameter {name} requires type "
                    f"{about['parameterType']}, but the value is {given[name]!r}",
                )
        if extra := sorted(set(given) - set(declared)):
            raise RefusedError(400, f"Invalid input error: parameters {extra} are not required")

    def _require_namespace(self, namespace: str) -> None:
        if self.multi_user and not namespace:
            raise RefusedError(400, "Invalid input error: namespace is empty in multi-user mode")
        if namespace and not self.multi_user:
            raise RefusedError(400, "Invalid input error: no namespace in single-user mode")

    def _in_namespace(self, asked: Asked, kept: dict[str, Document]) -> list[Document]:
        wanted = asked.query.get("namespace", "")
        self._require_namespace(wanted)
        return [one for one in kept.values() if one.get("namespace", "") == wanted]

    def _keep(self, kept: dict[str, Document], key: str, body: Document) -> Document:
        self._clock += 1
        made = {**body, key: str(uuid.uuid4())}
        made["created_at"] = written(datetime.fromtimestamp(1_800_000_000 + self._clock, UTC))
        kept[made[key]] = made
        return made

    def _page(self, asked: Asked, name: str, found: list[Document]) -> Document:
        if asked.query.get("sort_by", "").endswith(" desc"):
            found = sorted(found, key=lambda one: one["created_at"], reverse=True)
        size = min(int(asked.query.get("page_size", 20)), self.largest_page)
        start = int(asked.query.get("page_token") or 0)
        page: Document = {"total_size": len(found)}
        if shown := found[start : start + size]:
            page[name] = shown
        if start + size < len(found):
            page["next_page_token"] = str(start + size)
        return page


def _one(kept: dict[str, Document], kind: str, name: str) -> Document:
    if name not in kept:
        raise RefusedError(404, f"ResourceNotFoundError: {kind} {name} not found")
    return kept[name]


def _checked(body: Any, kind: str) -> Document:
    """The body, if every field of it and of what it holds is known."""
    if not isinstance(body, dict):
        raise RefusedError(400, "proto: syntax error: expected an object")
    for key, value in body.items():
        if key not in _FIELDS[kind]:
            raise RefusedError(400, f'proto: (line 1:1): unknown field "{key}"')
        if key in _FIELDS:
            _checked(value, key)
    return dict(body)


def _check_trigger(trigger: Document) -> None:
    if schedule := trigger.get("cron_schedule"):
        fields = schedule["cron"].split()
        weekdays = re.findall(r"\d+", fields[-1])
        if len(fields) != 6 or any(int(day) > 6 for day in weekdays):
            raise RefusedError(
                400, f"Invalid input error: Schedule cron is not supported: {fields}"
            )
    elif int(trigger.get("periodic_schedule", {}).get("interval_second", 0)) < 1:
        raise RefusedError(400, "Invalid input error: invalid period schedule interval")
