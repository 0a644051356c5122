"""Whether a stage's Job finds its places and devices: what is wrong with them, in words."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from components.core.settings import READ, WRITTEN, Settings, place_kind
from components.core.storage import is_s3
from pipelines.jobs import StageJob
from pipelines.placement import Placement, Volume
from pipelines.plan import Plan


def path_problems(job: StageJob) -> list[str]:
    """Places that the pod would not find, could not write to, or would write into one another."""
    fields = type(job.settings).model_fields.items()
    values = {name: str(getattr(job.settings, name)) for name, _ in fields}
    named = {name: kind for name, field in fields if (kind := place_kind(field, values[name]))}
    settings = {name: value for name in named if (value := values[name]) and "://" not in value}
    read = {f"input {name}": path for name, path in job.inputs.items()}
    read |= {name: path for name, path in settings.items() if named[name] == READ}
    written = {f"output {name}": path for name, path in job.outputs.items()}
    written |= {name: path for name, path in settings.items() if named[name] == WRITTEN}
    places = [
        ("state directory", job.state_dir, True),
        *((f"input {name}", path, False) for name, path in job.inputs.items()),
        *((f"output {name}", path, True) for name, path in job.outputs.items()),
        *((name, path, named[name] == WRITTEN) for name, path in settings.items()),
    ]
    volumes = job.placement.volumes
    found = [
        f"{what}: {problem}"
        for what, path, is_written in places
        if (problem := place_problem(path, volumes, is_written))
    ]
    return found + _overlaps(job.state_dir, read, written)


def _overlaps(state_dir: str, read: Mapping[str, str], written: Mapping[str, str]) -> list[str]:
    """Outputs that touch what is read, one another or the state; state inside any of them."""
    mend = "give each a folder of its own"
    found = []
    outputs = list(written.items())
    for number, (output, path) in enumerate(outputs):
        for what, other in [*read.items(), *outputs[:number]]:
            if relation := _relation(path, other):
                found.append(f"{output}: {path} {relation} {what} ({other}); {mend}")
    for what, place in {**read, **written}.items():
        relation = _relation(state_dir, place)
        if relation in ("is also", "lies inside"):
            found.append(f"state directory: {state_dir} {relation} {what} ({place}); {mend}")
        elif relation and what in written:
            found.append(f"{what}: {place} lies inside the state directory {state_dir}; {mend}")
    return found


def _relation(path: str, other: str) -> str:
    """How one place touches another; '' when they are apart."""
    if not path or not other:
        return ""
    one, two = (PurePosixPath(posixpath.normpath(place)) for place in (path, other))
    if one == two:
        return "is also"
    if one.is_relative_to(two):
        return "lies inside"
    return "holds" if two.is_relative_to(one) else ""


def device_problems(settings: Settings, placement: Placement) -> list[str]:
    """Settings that leave GPUs idle, or ask for GPUs that the pod does not get."""
    gpus = placement.gpus
    device = str(getattr(settings, "device", "auto"))
    processes = getattr(settings, "processes", 0)
    found = []
    if gpus and device == "cpu":
        found.append(
            f"device: cpu, but the Job gets {gpus} GPUs, which would idle; take device=auto, or "
            "--gpus 0"
        )
    if not gpus and device.startswith("cuda"):
        found.append(f"device: {device}, but the Job gets no GPU; take device=auto, or --gpus 1")
    if gpus and isinstance(processes, int) and processes and processes != gpus:
        result = "would idle" if processes < gpus else "have to be shared"
        found.append(
            f"processes: {processes}, but the Job gets {gpus} GPUs: some {result}; leave it at 0, "
            f"one for each, or --gpus {processes}"
        )
    return found


def parameter_place_problems(
    described: Plan, values: Mapping[str, Any], placements: Mapping[str, Placement]
) -> list[str]:
    """Given parameters that name a place which no pod has: it has buckets and mounted volumes."""
    found = []
    for step in described.steps:
        for setting, name in step.parameters.items():
            place = values.get(name)
            if not isinstance(place, str) or not place or is_s3(place):
                continue
            kind = place_kind(step.stage.settings.model_fields[setting], place)
            if not kind:
                continue
            volumes = placements[step.stage.name].volumes
            if problem := place_problem(place, volumes, kind == WRITTEN):
                fix = f"give s3://…, or --pvc CLAIM:/data and {name}=/data/…"
                found.append(f"{name}: {problem}; {fix}")
    return list(dict.fromkeys(found))


def place_problem(path: str, volumes: tuple[Volume, ...], written: bool) -> str:
    """Why a pod with these volumes cannot use a path, or an empty string."""
    mounted = ", ".join(volume.path for volume in volumes) or "none; add --pvc CLAIM"
    within = [v for v in volumes if PurePosixPath(path).is_relative_to(v.path)]
    if ".." in PurePosixPath(path).parts or not within:
        return f"{path} is not on a mounted volume (mounted: {mounted})"
    if written and max(within, key=lambda volume: len(volume.path)).read_only:
        return f"{path} is on a volume that is mounted read-only; choose another place"
    return ""
