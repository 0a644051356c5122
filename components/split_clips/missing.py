"""Classes that are missing from a part: why, and what would help."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.split_clips.assignment import Counts
    from components.split_clips.stage import SplitSettings


def problems(
    settings: SplitSettings, table: dict[str, dict[str, int]], counts: Counts, published: bool
) -> list[str]:
    """One sentence for each class that is not in every part that was asked for.

    Args:
        settings: say which parts these are.
        table: class → part → clips.
        counts: (groups, classes) clips that were assigned here.
        published: the test part was named by the data set and not assigned here.
    """
    assigned = ["train", *(["val"] if settings.val_size else [])]
    if not published and (settings.test_size or settings.folds):
        assigned.append("test")
    # a class needs one group for each part; with folds, one for each fold and one for val
    needed = settings.folds + bool(settings.val_size) if settings.folds else len(assigned)
    found = []
    for column, (name, row) in enumerate(table.items()):
        absent = [part for part in assigned if not row[part]]
        everywhere = [*absent, *(["test"] if published and not row["test"] else [])]
        if not everywhere:
            continue
        have, groups = int(counts[:, column].sum()), int((counts[:, column] > 0).sum())
        reason = f"it has {have} usable clips in {groups} groups"
        if published:
            reason += f" besides {row['test']} in the test part that the data set names"
        if absent and groups < needed:
            reason += f"; it needs clips of at least {needed} groups, {needed - groups} more"
        elif absent:
            reason += (
                "; no arrangement of them was found; try another seed, smaller groups or parts"
            )
        found.append(f"class {name!r} is missing from {' and '.join(everywhere)}: {reason}")
    return found


def empty(settings: SplitSettings, sizes: dict[str, int]) -> list[str]:
    """The parts that were asked for and got no clip at all."""
    asked = {
        "train": True,
        "val": bool(settings.val_size),
        "test": bool(settings.test_size or settings.folds),
    }
    return [part for part, wanted in asked.items() if wanted and not sizes[part]]


def refusal(found: list[str]) -> str:
    """The error message where every class must be in every part."""
    lines = "\n".join(f"  - {line}" for line in found)
    return (
        f"cannot split:\n{lines}\nallow_missing: true accepts that, and lets such classes train "
        "rather than be tested"
    )


def warning(found: list[str]) -> str:
    """The remark where that is allowed."""
    lines = "\n".join(f"  - {line}" for line in found)
    return f"{len(found)} classes are not in every part:\n{lines}"
