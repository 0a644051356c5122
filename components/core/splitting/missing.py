"""Classes that are missing from a part: why, and what would help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.core.splitting.assignment import Counts


def problems(
    table: Mapping[str, Mapping[str, int]],
    counts: Counts,
    assigned: Sequence[str],
    kept: Sequence[str] = (),
    *,
    folds: int = 0,
    items: str = "clips",
    usable: str = "usable clips",
) -> list[str]:
    """One sentence for each class that is not in every part that was asked for.

    Args:
        table: class → part → items.
        counts: (groups, classes) items that were assigned, the classes in the table's order.
        assigned: parts that these were assigned to.
        kept: parts that the data set named, so that nothing was assigned to them.
        folds: number of cross-validation folds; 0 for none.
        items: what is divided.
        usable: what is counted.
    """
    # a class needs one group for each part; with folds, one for each fold and one for val
    needed = folds + ("val" in assigned) if folds else len(assigned)
    found = []
    for column, (name, row) in enumerate(table.items()):
        absent = [part for part in assigned if not row[part]]
        everywhere = [*absent, *(part for part in kept if not row[part])]
        if not everywhere:
            continue
        have, groups = int(counts[:, column].sum()), int((counts[:, column] > 0).sum())
        reason = f"it has {have} {usable} in {groups} groups"
        if kept:
            named = " and ".join(f"{row[part]} in the {part} part" for part in kept)
            reason += f" besides {named} that the data set names"
        if absent and groups < needed:
            reason += f"; it needs {items} of at least {needed} groups, {needed - groups} more"
        elif absent:
            reason += (
                "; no arrangement of them was found; try another seed, smaller groups or parts"
            )
        found.append(f"class {name!r} is missing from {' and '.join(everywhere)}: {reason}")
    return found


def refusal(found: Sequence[str]) -> str:
    """The error message where every class must be in every part."""
    lines = "\n".join(f"  - {line}" for line in found)
    return (
        f"cannot split:\n{lines}\nallow_missing: true accepts that, and lets such classes train "
        "rather than be tested"
    )


def warning(found: Sequence[str]) -> str:
    """The remark where that is allowed."""
    lines = "\n".join(f"  - {line}" for line in found)
    return f"{len(found)} classes are not in every part:\n{lines}"
