"""What people write in options about places on a cluster: `CLAIM:/path:ro`, `NAME:VARIABLE`, `90m`.

Each function raises ValueError with the accepted forms.
"""

from __future__ import annotations

import re
from typing import Any

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> int:
    """The seconds of `90m`, `36h`, `4d` or a plain number."""
    match = re.fullmatch(r"(\d+)([smhd]?)", text.strip())
    if not match or not int(match[1]):
        raise ValueError("expected a time such as 90m, 36h or 4d")
    return int(match[1]) * _UNITS[match[2]]


def volume(text: str) -> dict[str, Any]:
    """A volume: CLAIM[:PATH][:ro]."""
    claim, *rest = text.split(":")
    read_only = bool(rest) and rest[-1] == "ro"
    paths = rest[:-1] if read_only else rest
    path = paths[0] if paths else f"/mnt/{claim}"
    if not claim or len(paths) > 1 or not path.startswith("/"):
        raise ValueError("expected CLAIM, CLAIM:/path or CLAIM:/path:ro")
    return {"claim": claim, "path": path, "read_only": read_only}


def secret(text: str) -> dict[str, Any]:
    """A Secret's variables: NAME[:VARIABLE[:KEY],…]."""
    if "=" in text:  # somebody means a value: what follows is not repeated
        raise ValueError(
            "values never belong on the command line, only names: NAME, NAME:VARIABLE,… or "
            "NAME:VARIABLE:KEY,…; put the value into the Secret with kubectl create secret"
        )
    name, _, listed = text.partition(":")
    parts = [part.partition(":") for part in listed.split(",") if part]
    variables = {variable: key or variable for variable, _, key in parts}
    if len(variables) < len(parts):
        raise ValueError("a variable is named twice, and can have one value; name it once")
    if not name:
        raise ValueError("expected NAME, NAME:VARIABLE,… or NAME:VARIABLE:KEY,…")
    return {"name": name, "variables": variables}


def toleration(text: str) -> dict[str, Any]:
    """A taint that is put up with: KEY[=VALUE][:EFFECT]."""
    taint, _, effect = text.partition(":")
    key, equals, value = taint.partition("=")
    if not key or effect not in ("", "NoSchedule", "NoExecute", "PreferNoSchedule"):
        raise ValueError("expected KEY, KEY=VALUE or KEY:NoSchedule")
    made = {"key": key, "effect": effect, "operator": "Equal" if equals else "Exists"}
    return {**made, **({"value": value} if equals else {})}


def pair(text: str) -> tuple[str, str]:
    """KEY=VALUE."""
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise ValueError("expected KEY=VALUE")
    return key, value


def image_reference(text: str) -> tuple[str, str]:
    """NAME=REFERENCE of one of the images; the reference is pinned."""
    from components.core.images import IMAGES
    from pipelines.container_rules import holds_credentials, image_problem

    name, reference = pair(text)
    if name not in IMAGES and holds_credentials(text):
        raise ValueError(f"expected NAME=REFERENCE, with one of {', '.join(IMAGES)} for NAME")
    if name not in IMAGES:
        raise ValueError(f"there is no image {name!r}; accepted are {', '.join(IMAGES)}")
    if problem := image_problem(reference):
        raise ValueError(f"{problem}; name a version tag or a digest (@sha256:…)")
    return name, reference
