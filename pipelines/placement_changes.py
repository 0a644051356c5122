"""Changes to placements, from files and by field: everything that is wrong with them at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from components.core.errors import SettingsError
from components.core.settings import closest, read_file
from pipelines import option_texts
from pipelines.placement import Placement
from pipelines.placement_rules import problems

_QUANTITIES = (
    "cpu", "cpu_limit", "memory", "memory_limit", "shared_memory", "ephemeral_storage",
)  # fmt: skip
_TIMES = ("deadline", "ttl")
_NUMBERS = ("gpus", "nodes", "retries", "backoff_seconds", "backoff_factor", *_TIMES)
_OTHER_NAMES = {
    "shm": "shared_memory", "disk": "ephemeral_storage", "env": "environment", "pvc": "volumes",
    "secret": "secrets", "image_pull_secret": "image_pull_secrets", "label": "labels",
    "gpu_product": "gpu_products", "toleration": "tolerations",
}  # fmt: skip
"""What options and pods call fields of a placement."""
_HIDDEN = ("environment", "secrets")
"""Fields whose values are never repeated: somebody may have put a secret there."""


def read_placements(path: Path | str, defaults: Mapping[str, Placement]) -> dict[str, Placement]:
    """Reads changes to placements from a YAML file: stage → fields; `all` → fields of every stage.

    Returns:
        Stage → placement, for every stage of `defaults`.

    Raises:
        SettingsError: with every unknown stage, unknown field and wrong value.
    """
    placements, found = read_sound_placements(path, defaults)
    if found:
        raise SettingsError(found, str(path))
    return placements


def read_sound_placements(
    path: Path | str, defaults: Mapping[str, Placement]
) -> tuple[dict[str, Placement], list[str]]:
    """The placements with everything from the file that can be used, and what is wrong with it."""
    try:
        content = read_file(path)
    except SettingsError as error:
        return dict(defaults), error.problems
    found = [
        f"{stage}: unknown stage{closest(stage, ['all', *defaults])} (accepted: all, "
        f"{', '.join(defaults)})"
        for stage in content
        if stage not in ("all", *defaults)
    ]
    found += [
        f"{stage}: expected fields such as `gpus: 4`, got {fields!r}"
        for stage, fields in content.items()
        if not isinstance(fields, dict)
    ]
    fields = {stage: given for stage, given in content.items() if isinstance(given, dict)}
    common, bad = _sound(Placement(), fields.get("all", {}))
    found += [f"all.{problem}" for problem in bad]
    placements = {}
    for stage, placement in defaults.items():
        own = fields.get(stage, {})
        placements[stage], bad = change_sound(placement, {**common, **own})
        found += [f"{stage}.{problem}" for problem in bad]
    return placements, found


def change(placement: Placement, fields: Mapping[str, Any]) -> Placement:
    """The placement with some fields replaced; types, names and ranges are checked.

    Raises:
        SettingsError: with every unknown field, wrong type and value that no cluster takes.
    """
    changed = _typed(placement, fields)
    if found := problems(changed):
        raise SettingsError(found, "the placement")
    return changed


def change_sound(placement: Placement, fields: Mapping[str, Any]) -> tuple[Placement, list[str]]:
    """The placement with those fields replaced that can be, and what is wrong with the others."""
    good, found = _sound(placement, fields)
    return _typed(placement, good), found


def _sound(placement: Placement, fields: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The fields that nothing is wrong with, and the problems of the others."""
    good, found = {}, []
    for name, value in fields.items():
        try:
            _typed(placement, {name: value})
        except SettingsError as error:
            found += error.problems
        else:
            good[name] = value
    wrong = problems(_typed(placement, good))
    blamed = {problem.partition(":")[0] for problem in wrong}
    good = {name: value for name, value in good.items() if name not in blamed}
    if wrong and problems(_typed(placement, good)):
        good = {}  # a field that is wrong only beside one that stays
    return good, [*found, *wrong]


def _typed(placement: Placement, fields: Mapping[str, Any]) -> Placement:
    """The placement with some fields replaced; only their names and types are checked."""
    known = {name: getattr(placement, name) for name in Placement.__dataclass_fields__}
    given = {name: _as_typed(name, value) for name, value in fields.items()}
    if flags := [name for name in _NUMBERS if isinstance(given.get(name), bool)]:
        found = [f"{name}: expected a number, got {given[name]}" for name in flags]
        raise SettingsError(found, "the placement")
    try:
        return TypeAdapter(Placement).validate_python({**known, **given})
    except ValidationError as error:
        raise SettingsError(
            [_described(problem) for problem in error.errors(include_url=False)], "the placement"
        ) from None


def _as_typed(name: str, value: Any) -> Any:
    """Texts where Kubernetes has them (YAML knows no difference for `cpu: 8`), times in seconds."""
    if name in _TIMES and isinstance(value, str):
        try:
            return option_texts.seconds(value)
        except ValueError as error:
            raise SettingsError([f"{name}: {error}, got {value!r}"], "the placement") from None
    if name in _QUANTITIES and type(value) in (int, float):
        return str(value)
    if name == "environment" and isinstance(value, Mapping):
        return {
            key: str(text) if type(text) in (int, float) else text for key, text in value.items()
        }
    return value


_FORMS = {
    "tolerations": "[{key: nautilus.io/reservation, effect: NoSchedule}]",
    "volumes": "[{claim: trainyard, path: /data}]",
    "secrets": "[{name: database, variables: {PGPASSWORD: password}}]",
    "gpu_products": "[NVIDIA-A10, NVIDIA-A40]",
    "image_pull_secrets": "[registry]",
    "node_labels": "{topology.kubernetes.io/region: [us-west]}",
    "preferred_labels": "{topology.kubernetes.io/region: [us-west]}",
    "labels": "{team: vision}",
    "environment": '{NCCL_DEBUG: WARN, FLAG: "true"}',
}
"""How fields that hold several things are written."""


def _known(name: str) -> str:
    """The field that was meant, or all there are; `volumes.0.x` is one of another's."""
    if "." in name:
        return ""
    if name in _OTHER_NAMES:
        return f"; here it is called {_OTHER_NAMES[name]!r}"
    fields = Placement.__dataclass_fields__
    return closest(name, fields) or f"; accepted are {', '.join(fields)}"


def _described(problem: Any) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    field = name.partition(".")[0]
    kind = type(problem["input"]).__name__
    given = f"a value of type {kind}" if field in _HIDDEN else repr(problem["input"])
    if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{name}: unknown field{_known(name)}"
    if problem["type"] in ("tuple_type", "mapping_type", "dict_type") and field in _FORMS:
        return f"{name}: got {given}; write it like {field}: {_FORMS[field]}"
    return f"{name}: {problem['msg'][0].lower()}{problem['msg'][1:]}, got {given}"
