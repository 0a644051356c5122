"""Where the files of a TAO project lie: data, specifications, models, pretrained weights.

<root>/projects/<project>/        experiments.yml
    data/<dataset>/               KITTI or COCO data, or subsets of it: full, train, val
    data/<dataset>/tfrecords_<experiment>/    converted; data/tfrecords_<experiment>/ where the
                                  data set is such data itself, as in the first generation
    specs/<experiment>/           convert.txt, train.txt, … or .yaml
    models/<experiment>/          results
    models/.archive/              results that others took the place of
<root>/repositories/<repository>/<repository>_v<backbone>/    pretrained weights
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from components.core.errors import InputError
from components.core.tao.mounts import NAME, Mounts

IMAGE_FOLDERS = ("image_2", "images", "image")
PRETRAINED = (".hdf5", ".h5", ".tlt", ".pth", ".pt", ".ckpt", ".keras")
"""Suffixes of pretrained weights, in the order in which they are preferred."""

PROJECTS, REPOSITORIES = "projects", "repositories"


@dataclass(frozen=True)
class Layout:
    """The places of a project's files; nothing needs to exist."""

    folder: Path
    """Of the project, absolute."""
    mounts: Mounts = field(default_factory=Mounts, repr=False)

    @property
    def experiments(self) -> Path:
        """The file with the experiments."""
        return self.folder / "experiments.yml"

    @property
    def root(self) -> Path:
        """Where `projects` and `repositories` lie."""
        above = self.folder.parent
        return above.parent if above.name == PROJECTS else above

    @property
    def repositories(self) -> Path:
        """Folder of pretrained weights: beside `projects`, else as `.tao_mounts.json` says."""
        mounted = [
            source for inside, source in self.mounts.places.items() if inside.endswith(REPOSITORIES)
        ]
        places = [self.root / REPOSITORIES, self.folder / REPOSITORIES, *mounted]
        return next((place for place in places if place.is_dir()), places[0])

    @property
    def places(self) -> dict[str, Path]:
        """What `.tao_mounts.json` calls the folders → where they are."""
        return {PROJECTS: self.folder.parent, REPOSITORIES: self.repositories}

    def data(self, dataset: str) -> Path:
        """A data set, or a subset of one."""
        return self.folder / "data" / dataset

    def records(self, dataset: str, experiment: str) -> Path:
        """Where an experiment's converted data lies."""
        data = self.data(dataset)
        name = f"tfrecords_{experiment}"
        itself = any((data / folder).is_dir() for folder in IMAGE_FOLDERS)
        return self.folder / "data" / name if itself else data / name

    def specs(self, experiment: str) -> Path:
        """Folder of an experiment's specifications."""
        return self.folder / "specs" / experiment

    def models(self, experiment: str) -> Path:
        """Folder of an experiment's results."""
        return self.folder / "models" / experiment

    @property
    def archive(self) -> Path:
        """Folder of results that others took the place of."""
        return self.folder / "models" / ".archive"

    def pretrained(self, repository: str, backbone: str) -> Path:
        """The file of pretrained weights: of several, the first suffix of PRETRAINED decides.

        Raises:
            InputError: no such file, or several that are equally good.
        """
        folder = self.repositories / repository / f"{repository}_v{backbone}"
        for suffix in PRETRAINED:
            found = sorted(path for path in folder.glob(f"*{suffix}") if path.is_file())
            if len(found) == 1:
                return found[0]
            if found:
                names = ", ".join(path.name for path in found)
                raise InputError(
                    f"{folder} holds {names}: which one is meant cannot be told; keep one *{suffix}"
                )
        raise InputError(
            f"{folder} holds no pretrained weights (*{', *'.join(PRETRAINED[:2])}, …); download "
            f"them there, for example with: ngc registry model download-version "
            f"nvidia/tao/{repository}:{backbone} --dest {folder.parent}"
        )


def mounts_file(folder: Path) -> Path | None:
    """The `.tao_mounts.json` of a project: in its own folder or one of the two above."""
    places = [folder / NAME, folder.parent / NAME, Layout(folder).root / NAME]
    return next((place for place in places if place.is_file()), None)
