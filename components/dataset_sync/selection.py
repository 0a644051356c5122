"""Which clips of a source are taken, and of which class they are: told by their names alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

from components.core.errors import InputError, ProblemsError
from components.core.settings import closest
from components.core.storage import Item, Storage

if TYPE_CHECKING:
    from components.dataset_sync.stage import SyncSettings

LOOKED_AT = 50_000
"""Files that a quick look at a source lists at most, to tell which folders it has."""

NAMES_SHOWN = 30
"""Sources or classes that a message lists."""


@dataclass(frozen=True)
class Selection:
    """What is taken of a source that is arranged in folders; by default everything."""

    rule: str = "folder"
    """`folder` or `first_underscore`: how the name of a folder gives its class."""
    depth: int = 0
    """Folders above the class folder: 1 where the first folder is that of a source."""
    sources: Collection[str] = ()
    """First folders that are taken; empty for all."""
    classes: Collection[str] = ()
    """Classes that are taken, as their labels are spelt; empty for all."""
    other: str = ""
    """Class of all other folders; '' leaves them out."""
    ignored: Collection[str] = ()
    """Folders that are no classes (nor sources)."""

    @classmethod
    def of(cls, settings: SyncSettings) -> Selection:
        """What the settings ask for."""
        return cls(
            rule=settings.class_rule,
            depth=int(settings.layout == "sources"),
            sources=settings.sources,
            classes=settings.classes,
            other=settings.other_class,
            ignored=settings.ignore_folders,
        )

    @property
    def labels(self) -> set[str]:
        """Every label that a clip can have; empty where any is possible."""
        return {*self.classes, *([self.other] if self.other else [])}

    def listing(self, storage: Storage) -> Iterator[Item]:
        """Everything in the sources that are taken; of the others nothing is even listed."""
        for folder in self.sources or [""]:
            yield from storage.items(folder)

    def folder(self, name: str) -> str:
        """The class folder of a clip: `<class folder>`, or `<source>/<class folder>`."""
        return "/".join(name.split("/")[: self.depth + 1])

    def own_class(self, name: str) -> str:
        """The class that a clip's folder is named for, whether it is taken or not."""
        folder = self.folder(name).rpartition("/")[2]
        return folder.partition("_")[0] if self.rule == "first_underscore" else folder

    def label(self, name: str) -> str | None:
        """The class of a clip in a class folder; None where it is left out."""
        own = self.own_class(name)
        if not self.classes:
            return own
        return self._spellings.get(own.casefold(), self.other or None)

    def ignores(self, name: str) -> bool:
        """Whether a file or folder lies in a folder that is no class."""
        return bool({*name.split("/")[: self.depth + 1]} & {*self.ignored})

    def leaves_out(self, clip: str) -> bool:
        """Whether a clip is of a source or class that is not taken."""
        if clip.count("/") <= self.depth:
            return False
        source = clip.partition("/")[0]
        return bool(self.sources and source not in self.sources) or self.label(clip) is None

    def refuse_absent(self, storage: Storage, most: int | None = None) -> None:
        """Makes sure that every source that is asked for is there.

        A source that is there costs one request; only if one is not, the storage is listed.

        Args:
            storage: where they should be.
            most: files that may be listed to tell which sources there are.

        Raises:
            InputError: with all that are not, and those that are.
        """
        missing = [name for name in self.sources if next(storage.items(name), None) is None]
        if not missing:
            return
        listed = [item.name for item in islice(storage.items(), most)]
        there = {name.partition("/")[0] for name in listed if "/" in name}
        problems = [
            f"{name!r} is empty" if name in there else f"there is no {name!r}{hint(name, there)}"
            for name in missing
        ]
        which = f"the first {most} files are of" if len(listed) == most else "that there are"
        raise InputError(
            f"{ProblemsError(problems, f'sources ({storage.uri})')}\n"
            f"the sources {which}: {listed_names(there - {*missing})}"
        )

    def unmet(self, taken: Iterable[str], left_out: Iterable[str]) -> list[str]:
        """One problem for each class that is asked for and has no clip.

        Args:
            taken: names of the clips that are taken.
            left_out: those of the others.
        """
        names = {*taken}
        met = {self.label(name) for name in names}
        there = {self.own_class(name) for name in {*names, *left_out}} - {""}
        problems = [
            f"classes: there are no clips of {name!r}{self._nearest(name, there)}"
            for name in self.classes
            if name not in met
        ]
        if self.other and self.other not in {*met, *self.classes}:
            problems.append(
                f"other_class: there are no clips for {self.other!r}; every folder is of one of "
                "the classes: leave it out"
            )
        if problems:
            problems.append(f"the classes that there are: {listed_names(there)}")
        return problems

    @cached_property
    def _spellings(self) -> dict[str, str]:
        return {name.casefold(): name for name in self.classes}

    def _nearest(self, name: str, there: Collection[str]) -> str:
        merged = sorted(own for own in there if own.casefold().startswith(f"{name}_".casefold()))
        if self.rule == "folder" and merged:
            return f"; class_rule: first_underscore makes {', '.join(merged[:3])} one class"
        return hint(name, there)


def hint(name: str, known: Collection[str]) -> str:
    """A `did you mean` for a name; one that only differs by case comes first."""
    alike = [other for other in sorted(known) if other.casefold() == name.casefold()]
    return closest(name, known) if not alike else f"; did you mean {alike[0]!r}?"


def listed_names(names: Iterable[str]) -> str:
    """Names for a message, sorted, cut short when they are many."""
    ordered = sorted(names)
    rest = f" and {len(ordered) - NAMES_SHOWN} more" if len(ordered) > NAMES_SHOWN else ""
    return ", ".join(ordered[:NAMES_SHOWN]) + rest if ordered else "none"
