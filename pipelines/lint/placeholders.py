"""Placeholders in compiled pipelines: `{{$.inputs.parameters['name']}}` and the server's others."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipelines.container_rules import Finding

_PLACEHOLDER = re.compile(r"\{\{\$(.*?)\}\}", re.DOTALL)
_INPUT = re.compile(r"\.inputs\.parameters\[(?:'|\")(.+?)(?:'|\")\]")
_OTHERS = re.compile(
    r"$|\.(inputs|outputs)(\.(artifacts|parameters)\[.+?\].*)?$|\.json_escape\[.+$"
    r"|\.(pipeline_job_name|pipeline_job_resource_name|pipeline_job_uuid|pipeline_root"
    r"|pipeline_task_name|pipeline_task_uuid|pipeline_job_create_time_utc"
    r"|pipeline_job_schedule_time_utc|workspace_path)$"
)


def referenced(text: str) -> set[str]:
    """Input parameters that the placeholders in a text stand for."""
    return {name for inner in _PLACEHOLDER.findall(text) for name in _INPUT.findall(inner)}


def check_placeholders(where: str, text: str) -> Iterator[Finding]:
    """Placeholders that the server does not know: it empties or keeps them, as versions differ."""
    known = all(_OTHERS.match(inner) for inner in _PLACEHOLDER.findall(text))
    if "{{$" in text and (not known or "{{$" in _PLACEHOLDER.sub("", text)):
        yield Finding(
            where,
            "holds '{{$', which the server takes for the start of a placeholder",
            "write the text without it, or use a placeholder of kfp.dsl",
        )
