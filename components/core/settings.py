"""Typed settings from files and `key=value` pairs, with every problem reported at once."""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from components.core.errors import InputError, SettingsError

S = TypeVar("S", bound="Settings")

UNREADABLE = (
    yaml.YAMLError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError,
    ValueError,
)  # fmt: skip
"""What reading YAML raises: for impossible dates and numbers it is no YAMLError."""

RUNTIME: dict[str, Any] = {"runtime": True}
"""`json_schema_extra` of a field that changes how fast a stage works, never its result."""

READ, WRITTEN = "read", "written"

PLACE: dict[str, Any] = {"place": READ}
"""`json_schema_extra` of a field that names a file, folder or bucket to read from."""

WRITTEN_PLACE: dict[str, Any] = {"place": WRITTEN}
"""`json_schema_extra` of a field that names a folder or bucket to write into."""

CONTENT: dict[str, Any] = {**PLACE, "content": True}
"""`json_schema_extra` of a field that names a file or bundle: its content counts, not its name.

Such a field may also have `words`: values that name something else than a place.
"""


class Settings(BaseModel):
    """Base of every stage's settings: flat, immutable, unknown keys refused.

    Unset is `''`, 0 or an empty list, never None, because that is what a Kubeflow form can send.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )

    def identity(self) -> dict[str, Any]:
        """The settings that determine the result: all but the fields marked `RUNTIME`."""
        runtime = {name for name, field in type(self).model_fields.items() if is_runtime(field)}
        return self.model_dump(mode="json", exclude=runtime)


def is_runtime(field: FieldInfo) -> bool:
    """Whether a settings field only affects speed."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("runtime"))


def is_content(field: FieldInfo) -> bool:
    """Whether a settings field names a file whose content determines the result."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("content"))


def place_kind(field: FieldInfo, value: str = "") -> str:
    """READ or WRITTEN for a settings field that names a place; '' for any other.

    Args:
        field: of the settings.
        value: of the field, which may be one of the `words` that name no place.
    """
    extra = field.json_schema_extra
    if not isinstance(extra, dict) or value in extra.get("words", ()):  # type: ignore[operator]
        return ""
    return str(extra.get("place", ""))


def build(cls: type[S], values: Mapping[str, Any], where: str = "settings") -> S:
    """Validates `values` into `cls`.

    Whole numbers that a JSON or protobuf transport turned into floats inside lists become
    integers again before validation.

    Raises:
        SettingsError: with every unknown key, wrong type and bad value.
    """
    restored = {key: restore_integers(value) for key, value in values.items()}
    try:
        return cls(**restored)
    except ValidationError as error:
        raise SettingsError(
            _describe(cls, error) + _of_the_rest(cls, restored, error), where
        ) from None


def problems(cls: type[Settings], values: Mapping[str, Any]) -> list[str]:
    """Every problem `build` would report, as a list; empty when the values are fine."""
    try:
        build(cls, values)
    except SettingsError as error:
        return error.problems
    return []


def read_file(path: Path | str) -> dict[str, Any]:
    """Reads a YAML or JSON mapping of parameters, or the `<model>.config` of a served clip model.

    The settings of the OBDB weed trainer (JSON) become parameters of `weed_detection`; which of
    them have no effect is told on standard error.

    Raises:
        SettingsError: the file is absent, is not YAML, or does not hold a mapping.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        content = _of_model(text) if path.suffix == ".config" else _parsed(text, path)
    except OSError as error:
        raise SettingsError([f"cannot read it: {error.strerror}"], str(path)) from None
    except RecursionError:
        raise SettingsError(["it is nested too deeply"], str(path)) from None
    except UNREADABLE as error:
        raise SettingsError([f"it is not valid {_kind(path)}: {error}"], str(path)) from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise SettingsError(
            ["expected a mapping of `name: value` lines at the top level"], str(path)
        )
    return _of_weed_trainer(content, path)


def _parsed(text: str, path: Path) -> Any:
    """YAML; JSON may be indented with tabs, which YAML may not, and have commas too many."""
    if path.suffix != ".json":
        return yaml.safe_load(text)
    try:
        return json.loads(text)
    except ValueError as error:
        with suppress(*UNREADABLE):
            if isinstance(found := yaml.safe_load(text), dict | None):
                return found
        raise error from None


def _of_weed_trainer(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """The parameters that a weed trainer's settings stand for; others, with variants as a text."""
    from components.core.formats import weed_settings

    if not weed_settings.is_weed_settings(content):
        names = content.get("variants")
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return {**content, "variants": ", ".join(names)}
        return content
    try:
        found, notes = weed_settings.parameters(content, path.parent)
    except ValueError as error:
        raise SettingsError(str(error).splitlines(), str(path)) from None
    for note in notes:
        print(f"{path}: {note}", file=sys.stderr)
    return found


def _kind(path: Path) -> str:
    return {".config": "as a model's configuration", ".json": "JSON"}.get(path.suffix, "YAML")


def _of_model(text: str) -> dict[str, Any]:
    from components.core.formats.model_config_ini import ModelConfigIni

    try:
        return ModelConfigIni.parse(text, "the file").parameters()
    except InputError as error:
        raise ValueError(str(error)) from None


def parse_assignments(pairs: Iterable[str], text_keys: Iterable[str] = ()) -> dict[str, Any]:
    """Parses `key=value` command-line pairs; values are YAML except for keys that hold text.

    Args:
        pairs: for example `["epochs=3", "source=/data/clips"]`.
        text_keys: names whose value is taken literally (`source=007` stays `"007"`).

    Raises:
        SettingsError: with every pair that is not of the form `key=value`.
    """
    text = set(text_keys)
    values: dict[str, Any] = {}
    bad: list[str] = []
    for pair in pairs:
        key, separator, raw = pair.partition("=")
        if not separator or not key.strip():
            bad.append(f"{pair!r} is not of the form key=value")
            continue
        key = key.strip()
        try:
            values[key] = raw if key in text else yaml.safe_load(raw)
        except UNREADABLE:
            bad.append(f"{key}: the value {raw!r} is not valid YAML; quote it")
        if values.get(key, raw) is None:
            values[key] = ""
    if bad:
        raise SettingsError(bad, "the command line")
    return values


def restore_integers(value: Any) -> Any:
    """Turns whole floats inside lists and mappings back into ints (KFP sends `[1.0, 2.0]`)."""
    if isinstance(value, list):
        return [_restored(item) for item in value]
    if isinstance(value, dict):
        return {key: _restored(item) for key, item in value.items()}
    return value


def _restored(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return restore_integers(value)


def closest(name: str, known: Iterable[str]) -> str:
    """A `did you mean` hint for a mistyped name, or an empty string."""
    match = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {match[0]!r}?" if match else ""


def _of_the_rest(
    cls: type[Settings], values: Mapping[str, Any], error: ValidationError
) -> list[str]:
    """What is wrong with the other fields beside one another, which pydantic looks at last.

    The wrong fields have their defaults meanwhile, so what names one of them is left out.
    """
    wrong = {str(item["loc"][0]) for item in error.errors(include_url=False) if item["loc"]}
    if not wrong:
        return []
    try:
        cls(**{name: value for name, value in values.items() if name not in wrong})
    except ValidationError as rest:
        told = [item["msg"] for item in rest.errors(include_url=False) if not item["loc"]]
    else:
        return []
    fields = "|".join(cls.model_fields)
    parts = [
        part
        for text in told
        for part in re.split(rf"; (?=(?:{fields}): )", text.removeprefix("Value error, "))
    ]
    return [part for part in parts if not wrong & set(re.findall(r"\w+", part))]


def _describe(cls: type[Settings], error: ValidationError) -> list[str]:
    lines = []
    for item in error.errors(include_url=False):
        where = ".".join(str(part) for part in item["loc"])
        field = str(item["loc"][0]) if item["loc"] else ""
        if item["type"] == "extra_forbidden":
            hint = closest(where, cls.model_fields) or f"; known: {', '.join(cls.model_fields)}"
            lines.append(f"{where}: unknown parameter{hint}")
        elif item["type"] == "missing":
            about = cls.model_fields[field].description or ""
            lines.append(f"{where}: required but not given ({about})")
        elif item["type"] == "list_type" and len(item["loc"]) == 1:
            given = item["input"]
            write = f"; write {where}=[{given}]" if isinstance(given, str | int | float) else ""
            lines.append(f"{where}: expected a list in square brackets (got {given!r}){write}")
        else:
            message = item["msg"].removeprefix("Value error, ")
            prefix = f"{where}: " if where else ""
            lines.append(f"{prefix}{message} (got {item['input']!r})" if where else message)
    return lines
