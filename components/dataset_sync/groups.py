"""The optional CSV that says which clips come from the same recording."""

from __future__ import annotations

import csv
import io

from components.core.errors import InputError
from components.core.storage import read_file

CLIP = "clip"
GROUP = "group"


def read_groups(uri: str) -> dict[str, str]:
    """Reads clip name (`<folder>/<file>`) → group from a CSV with a header line.

    The columns are `clip` and `group`, or `clip` and the only other whose name ends in `group`.

    Args:
        uri: path or `s3://bucket/key.csv`; '' gives no groups.

    Raises:
        InputError: the file is missing or no such table, or names a clip twice with two groups.
        ServiceError: the object store cannot be reached or refuses.
    """
    if not uri:
        return {}
    try:
        text = read_file(uri).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{uri} is not UTF-8 text; expected a CSV file") from None
    rows = csv.DictReader(io.StringIO(text, newline=""))
    column = _group_column(uri, rows.fieldnames or [])
    groups: dict[str, str] = {}
    problems = []
    for row in rows:
        clip, group = (row[CLIP] or "").strip(), (row[column] or "").strip()
        if not clip:
            problems.append(f"line {rows.line_num} names no clip")
        elif groups.setdefault(clip, group) != group:
            problems.append(f"{clip} is in the groups {groups[clip]!r} and {group!r}")
    if not groups and not problems:
        problems.append("it has no lines below its header")
    if problems:
        raise InputError(f"{uri} cannot be used: {'; '.join(problems)}")
    return groups


def _group_column(uri: str, columns: object) -> str:
    names = [str(name) for name in columns] if isinstance(columns, list | tuple) else []
    candidates = [GROUP] if GROUP in names else [n for n in names if n.lower().endswith(GROUP)]
    if CLIP in names and len(candidates) == 1:
        return candidates[0]
    raise InputError(
        f"{uri} has the columns {', '.join(names) or '(none)'}; needed are `clip` and `group`, or "
        "`clip` and one other column whose name ends in `group`"
    )
