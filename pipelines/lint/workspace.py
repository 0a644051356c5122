"""Checks the volumes that the server makes for a pipeline: its workspace and CreatePVC tasks."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.container_rules import Document, Finding
from pipelines.names import NAME_RULE, is_name
from pipelines.quantities import quantity

ACCESS_MODES = ("ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany", "ReadWriteOncePod")
_MODES = f"name some of {', '.join(ACCESS_MODES)}"
_PATCH = ("accessModes", "storageClassName")
_LIMITS = (
    "activeDeadlineSeconds",
    "resourceTtlOnCompletion",
    "resourceTtlOnFailure",
    "resourceTtlOnSuccess",
)


def check(platform: Document, uses_workspace: bool) -> Iterator[Finding]:
    """Findings in the options of the whole pipeline."""
    single = (platform.get("platforms") or {}).get("kubernetes") or {}
    config = single.get("pipelineConfig") or {}
    where = "platforms.kubernetes.pipelineConfig"
    for name in _LIMITS:
        if int(config.get(name) or 0) < 0:
            yield Finding(f"{where}.{name}", "is negative", "use seconds, 0 for none")
    workspace = config.get("workspace")
    if workspace is None:
        if uses_workspace:
            text = "a step uses the workspace, but the pipeline has none"
            yield Finding(f"{where}.workspace", text, "dsl.PipelineConfig(workspace=…)")
        return
    where += ".workspace"
    yield from check_size(f"{where}.size", workspace.get("size"))
    patch = (workspace.get("kubernetes") or {}).get("pvcSpecPatch") or {}
    where += ".kubernetes.pvcSpecPatch"
    for name in patch:
        if name not in _PATCH:
            text = f"the server refuses {name!r}"
            yield Finding(f"{where}.{name}", text, f"accepted are {' and '.join(_PATCH)}")
    yield from check_modes(f"{where}.accessModes", patch.get("accessModes"))
    if "storageClassName" in patch and not is_name(patch["storageClassName"]):
        text = f"{patch['storageClassName']!r} is no name of a storage class"
        yield Finding(f"{where}.storageClassName", text, "name one, or leave the field out")


def check_size(where: str, size: object) -> Iterator[Finding]:
    """A volume's size is a positive quantity."""
    try:
        good = quantity(size) > 0
    except ValueError:
        good = False
    if not good:
        yield Finding(where, f"{size!r} is no size of a volume", "write it like 5Gi")


def check_modes(where: str, modes: object) -> Iterator[Finding]:
    """A volume's access modes are named."""
    if not isinstance(modes, list) or not modes:
        yield Finding(where, "is missing: the server refuses the volume", _MODES)
        return
    for mode in modes:
        if mode not in ACCESS_MODES:
            yield Finding(where, f"unknown mode {mode!r}", _MODES)


def check_claim_spec(where: str, spec: object) -> Iterator[Finding]:
    """Findings in the specification of a PersistentVolumeClaim."""
    spec = spec if isinstance(spec, dict) else {}
    yield from check_modes(f"{where}.accessModes", spec.get("accessModes"))
    resources = spec.get("resources")
    requests = resources.get("requests") if isinstance(resources, dict) else None
    size = requests.get("storage") if isinstance(requests, dict) else None
    yield from check_size(f"{where}.resources.requests.storage", size)


def check_claim(where: str, constants: Document) -> Iterator[Finding]:
    """Findings in the constants of a CreatePVC task."""
    if "size" in constants:
        yield from check_size(f"{where}.size", constants["size"])
    if "access_modes" in constants:
        yield from check_modes(f"{where}.access_modes", constants["access_modes"])
    name = constants.get("pvc_name")
    if name is not None and "{{$" not in str(name) and not is_name(name):
        yield Finding(f"{where}.pvc_name", f"{name!r} is no name of a claim", NAME_RULE)
    suffix = constants.get("pvc_name_suffix")
    if suffix is not None and "{{$" not in str(suffix) and not is_name(f"x{suffix}"):
        text = f"{suffix!r} is no end of a claim's name"
        yield Finding(f"{where}.pvc_name_suffix", text, NAME_RULE)
