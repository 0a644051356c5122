"""Names of the array files: the `array_names` setting."""

from __future__ import annotations

from collections.abc import Sequence

from components.core.artifacts.evaluation import ARRAYS, BASELINE_FILE, TRAIN_CONFUSION_FILE

SUFFIX = ".npy"


def file_names(pairs: Sequence[str]) -> dict[str, str]:
    """File name of every array, from texts such as `confusion=resizer_confusion.npy`.

    Raises:
        ValueError: with every text that names no array, no plain .npy file, or one that is taken.
    """
    chosen: dict[str, str] = {}
    problems = []
    for pair in pairs:
        array, _, name = (part.strip() for part in pair.partition("="))
        if array not in ARRAYS:
            problems.append(f"{pair!r} names no array; the arrays are {', '.join(ARRAYS)}")
        elif array in chosen:
            problems.append(f"{pair!r} names {array} a second time")
        elif problem := _problem(name):
            problems.append(f"{pair!r}: {problem}")
        else:
            chosen[array] = name
    names = {array: chosen.get(array, f"{array}{SUFFIX}") for array in ARRAYS}
    taken: dict[str, str] = {
        BASELINE_FILE: "the baseline",
        TRAIN_CONFUSION_FILE: "the training part's confusion",
    }
    for array, name in names.items():
        if other := taken.get(name):
            problems.append(f"{name!r} would be the file of both {other} and {array}")
        taken[name] = array
    if problems:
        form = "expected pairs such as confusion=resizer_confusion.npy"
        raise ValueError(f"array_names: {'; '.join(problems)}; {form}")
    return names


def _problem(name: str) -> str:
    if "/" in name or "\\" in name:
        return "a file name is wanted, without folders"
    if not name.endswith(SUFFIX) or name == SUFFIX:
        return f"the file name must end in {SUFFIX}"
    if name.startswith(".") or any(ord(sign) < 32 for sign in name):
        return "the file name may not begin with a dot or hold control characters"
    return ""
