"""The values of a weed trainer's settings file, each by itself: what they may be, and what not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from components.core.settings import closest

OF_VARIANT = ("run_hpo", "use_settings_file", "optimal_hpo_settings", "pretrained_model_path")
"""Keys of a variant's object."""

OF_SEARCH = ("best_value", "Trial-ID", "Iteration", "Objective")
"""What a search writes beside the settings that it found; they are pasted with these."""

_SWITCHES = {"0": False, "1": True, "false": False, "true": True}


def switch(value: Any) -> bool | None:
    """What 0, 1, false, true or the text of one of them says; None for anything else."""
    if isinstance(value, str):
        return _SWITCHES.get(value.strip().lower())
    return bool(value) if isinstance(value, int | float) and value in (0, 1) else None


def sound(
    content: Mapping[str, Any], found_by_search: Iterable[str]
) -> tuple[dict[str, Any], list[str]]:
    """The content with switches as truth values, and everything that is wrong with its values.

    A wrong value has one that is accepted in its place, so that the rest can be looked at as well.

    Args:
        content: of the file.
        found_by_search: keys of `optimal_hpo_settings`.
    """
    problems: list[str] = []
    checked = dict(content)
    for key, (fits, expected, instead) in _EXPECTED.items():
        if key in content and not fits(content[key]):
            problems.append(f"{key}: expected {expected}, not {content[key]!r}")
            checked[key] = instead
    _switches(checked, ("full_hd",), "", problems)
    names = content.get("variants")
    if not isinstance(names, list):
        problems.append(_no_variants(content))
        checked["variants"] = names = []
    for name in map(str, names):
        if isinstance(content.get(name), dict):
            checked[name] = _variant(name, content[name], list(found_by_search), problems)
    return checked, problems


def _no_variants(content: Mapping[str, Any]) -> str:
    needed = 'a list of names, such as ["resnet18"]'
    if "variants" in content:
        return f"variants: expected {needed}, not {content['variants']!r}"
    for key in content:
        if hint := closest(key, ["variants"]):
            return f"{key}: it is unknown{hint}"
    return f"variants: {needed}, is missing"


def _variant(
    name: str, about: Mapping[str, Any], found_by_search: list[str], problems: list[str]
) -> dict[str, Any]:
    checked = dict(about)
    _unknown(f"{name}.", about, OF_VARIANT, problems)
    _switches(checked, ("run_hpo", "use_settings_file"), f"{name}.", problems)
    if isinstance(own := about.get("optimal_hpo_settings"), dict):
        known = [*found_by_search, *OF_SEARCH]
        _unknown(f"{name}.optimal_hpo_settings.", own, known, problems)
    elif own is not None:
        problems.append(f"{name}.optimal_hpo_settings: expected an object, not {own!r}")
        checked["optimal_hpo_settings"] = {}
    if not isinstance(path := about.get("pretrained_model_path") or "", str):
        problems.append(f"{name}.pretrained_model_path: expected a text, not {path!r}")
        checked["pretrained_model_path"] = ""
    return checked


def _switches(
    content: dict[str, Any], keys: Iterable[str], where: str, problems: list[str]
) -> None:
    for key in keys:
        if key not in content:
            continue
        if (value := switch(content[key])) is None:
            problems.append(f"{where}{key}: expected 0, 1, false or true, not {content[key]!r}")
        content[key] = bool(value)


def _unknown(where: str, given: Iterable[str], known: Iterable[str], problems: list[str]) -> None:
    known = list(known)
    for key in given:
        if key not in known:
            hint = closest(key, known) or f"; known: {', '.join(known)}"
            problems.append(f"{where}{key}: it is unknown{hint}")


Expected = tuple[Callable[[Any], bool], str, Any]
"""Whether a value is accepted, the words for what is, and such a value."""


def _whole(least: int) -> Expected:
    def fits(value: Any) -> bool:
        if isinstance(value, str):
            return value.isdecimal() and int(value) >= least
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and value == value // 1 and value >= least

    return fits, f"a whole number of at least {least}", least


def _duration(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) in (str, int) for item in value)


_LIST: Expected = (_names, "a list of names", [])
_RANGES: Expected = (
    lambda value: isinstance(value, dict),
    "an object of [low, high]",
    {"lr": [1e-5, 1e-2]},
)

_EXPECTED: dict[str, Expected] = {
    "dataset_dir": (lambda value: isinstance(value, str), "a text", ""),
    "excluded_frames": _LIST,
    "annotations_list": _LIST,
    "annotations_list_full_hd": _LIST,
    "annotations_list_4k": _LIST,
    "default_class_map": _LIST,
    "hpo_parameters": _RANGES,
    "sherpa_parameters": _RANGES,
    "max_train_epochs": _whole(1),
    "max_plateau_count": _whole(0),
    "max_num_trials": _whole(0),
    "search_epochs": _whole(0),
    "num_initial_data_points": (
        lambda value: value == "infer" or _whole(0)[0](value),
        'a whole number, or "infer"',
        "infer",
    ),
    "hpo_timeout": (_duration, "a number of seconds", 0),
}
