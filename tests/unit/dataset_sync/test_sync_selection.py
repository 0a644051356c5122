"""Clips of chosen sources and classes: what is taken, under which label, and what is told."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from clips import make_clips

from components.core.artifacts.clips import ClipDataset
from components.core.artifacts.task import Task
from components.core.errors import InputError, ProblemsError, SettingsError
from components.core.settings import build
from components.core.storage.folder import FolderStorage
from components.dataset_sync.selection import Selection
from components.dataset_sync.stage import STAGE, SyncSettings

RULE = {"layout": "sources", "class_rule": "first_underscore"}


class Project:
    """A root folder of sources, a state directory, and one output per run."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.source, self.state = folder, folder / "source", folder / "state"
        self.runs = 0

    def sync(self, task: Path | None = None, **settings: Any) -> ClipDataset:
        self.runs += 1
        built = build(SyncSettings, {"source": str(self.source), "workers": 1, **settings})
        inputs = {"task": task} if task else {}
        STAGE.execute(built, inputs, {"clips": self.out}, self.state)
        return ClipDataset.load(self.out)

    def labels(self, **settings: Any) -> dict[str, str]:
        return {clip.id: clip.labels[0] for clip in self.sync(**{**RULE, **settings}).clips}

    def refused(self, **settings: Any) -> str:
        with pytest.raises((InputError, ProblemsError)) as raised:
            self.sync(**{**RULE, **settings})
        assert not self.out.exists()
        return str(raised.value)

    @property
    def out(self) -> Path:
        return self.folder / f"out{self.runs}"

    def mirrored(self) -> set[str]:
        """Checksums of all files in all mirrors."""
        return {path.name for path in self.state.glob("dataset_sync/*/work/objects/*/*")}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    make_clips(
        project.source,
        "kitchen/eating_soup/1.mp4", "kitchen/eating_soup/2.mp4", "kitchen/eating_bread/1.mp4",
        "kitchen/drinking_tea/1.mp4", "office/Eating_rice/1.mp4", "office/typing/near/1.mp4",
        "hall/walking/1.mp4",
    )  # fmt: skip
    return project


def test_classes_are_the_second_folders_and_equal_file_names_stay_apart(project: Project) -> None:
    """Subclasses and sources merge; seven files of which six are named 1.mp4 stay seven clips."""
    labels = project.labels(classes=["eating", "drinking", "typing", "walking"])
    assert labels == {
        "hall/walking/1.mp4": "walking",
        "kitchen/drinking_tea/1.mp4": "drinking",
        "kitchen/eating_bread/1.mp4": "eating",
        "kitchen/eating_soup/1.mp4": "eating",
        "kitchen/eating_soup/2.mp4": "eating",
        "office/Eating_rice/1.mp4": "eating",
        "office/typing/near/1.mp4": "typing",
    }
    data = ClipDataset.load(project.out)
    assert len({data.file(project.out, c).read_bytes() for c in data.clips}) == len(labels)
    assert project.labels(class_rule="folder")["office/typing/near/1.mp4"] == "typing"


def test_without_classes_a_difference_of_case_is_still_refused(project: Project) -> None:
    told = project.refused()
    assert "classes 'Eating' and 'eating' only differ by case: rename one" in told


def test_only_chosen_sources_are_looked_at_and_transferred(project: Project) -> None:
    (project.source / "office" / "empty").mkdir()  # would be refused if it were looked at
    labels = project.labels(sources=["kitchen", "hall"])
    assert {name.partition("/")[0] for name in labels} == {"kitchen", "hall"}
    assert len(project.mirrored()) == len(labels) == 5
    assert "class folder 'office/empty' is empty" in project.refused(sources=["office"])


def test_absent_sources_are_all_named_before_anything_starts(project: Project) -> None:
    (project.source / "garden").mkdir()
    told = project.refused(sources=["Kitchen", "hal", "hall", "cellar", "garden"])
    assert "source: 4 problems in sources" in told
    assert "there is no 'Kitchen'; did you mean 'kitchen'?" in told
    assert "there is no 'hal'; did you mean 'hall'?" in told
    assert "there is no 'cellar'\n" in told
    assert "'garden' is empty" in told
    assert "the sources that there are: hall, kitchen, office" in told
    assert not project.mirrored()


def test_a_quick_look_says_how_far_it_looked(project: Project) -> None:
    storage, selection = FolderStorage(project.source), Selection(depth=1, sources=["ofice"])
    with pytest.raises(InputError, match="the sources that there are: hall, kitchen, office"):
        selection.refuse_absent(storage)
    with pytest.raises(InputError, match=r"the sources the first 2 files are of: hall$"):
        selection.refuse_absent(storage, 2)


def test_a_source_without_class_folders_is_named(project: Project) -> None:
    make_clips(project.source, "loose/1.mp4")
    told = project.refused(classes=["eating"])
    assert "source 'loose' holds no class folder" in told
    labels = project.labels(classes=["eating"], ignore_folders=["loose", "eating_bread"])
    assert list(labels) == [
        "kitchen/eating_soup/1.mp4", "kitchen/eating_soup/2.mp4", "office/Eating_rice/1.mp4",
    ]  # fmt: skip


def test_a_class_is_compared_in_full_and_spelt_as_asked(project: Project) -> None:
    """ "eat" must not take "eating_*", as a comparison of beginnings would."""
    make_clips(project.source, "office/eat/1.mp4")
    assert project.labels(classes=["EAT"]) == {"office/eat/1.mp4": "EAT"}
    shutil.rmtree(project.source / "office" / "eat")
    told = project.refused(classes=["eat", "walking", "Sitting", "drinkin"])
    assert "classes: there are no clips of 'eat'" in told
    assert "classes: there are no clips of 'Sitting'" in told
    assert "no clips of 'drinkin'; did you mean 'drinking'?" in told
    assert "'walking'" not in told
    assert "the classes that there are: Eating, drinking, eating, typing, walking" in told
    told = project.refused(classes=["drinking"], class_rule="folder")
    assert "class_rule: first_underscore makes drinking_tea one class" in told


def test_clips_of_other_classes_are_left_out_and_told(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    (project.source / "office" / "typing" / "notes.txt").touch()
    (project.source / "office" / "later").mkdir()  # empty, but of no class that is taken
    labels = project.labels(sources=["kitchen", "office", "hall"], classes=["Eating"])
    assert set(labels.values()) == {"Eating"}
    assert len(project.mirrored()) == len(labels) == 4
    told = capfd.readouterr().err
    assert "left out 3 clips of 3 folders of other classes (other_class would take them): " in told
    assert "hall/walking (1), kitchen/drinking_tea (1), office/typing (1)" in told
    assert "sources without a clip of the classes: hall" in told


def test_other_folders_may_form_one_class(project: Project) -> None:
    make_clips(project.source, "hall/other_things/1.mp4", "hall/_odd/1.mp4")
    labels = project.labels(classes=["eating"], other_class="Other")
    assert {name for name, label in labels.items() if label == "Other"} == {
        "hall/_odd/1.mp4", "hall/other_things/1.mp4", "hall/walking/1.mp4",
        "kitchen/drinking_tea/1.mp4", "office/typing/near/1.mp4",
    }  # fmt: skip
    assert sum(label == "eating" for label in labels.values()) == 4
    named = project.labels(classes=["eating", "Other"], other_class="Other")
    assert named == labels
    told = project.refused(
        classes=["eating", "drinking", "drink"], other_class="Other", sources=["kitchen"]
    )
    assert "classes: there are no clips of 'drink'; did you mean 'drinking'?" in told
    assert "other_class: there are no clips for 'Other'" in told


def test_classes_may_be_chosen_from_plain_folders(project: Project) -> None:
    settings = {"source": str(project.source / "kitchen"), "layout": "folders"}
    assert set(project.labels(classes=["drinking"], **settings)) == {"drinking_tea/1.mp4"}
    labels = project.labels(classes=["Drinking"], other_class="rest", **settings)
    assert sorted(labels.values()) == ["Drinking", "rest", "rest", "rest"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layout": "folders", "sources": ["a"]}, "sources: no effect with layout folders"),
        (
            {"layout": "tinyvirat", "sources": ["a"], "classes": ["b"], "other_class": "c"},
            "sources, classes, other_class: no effect with layout tinyvirat",
        ),
        ({"sources": ["a", "b", "a"]}, "sources: named more than once: a"),
        ({"sources": ["a/b", ".c"]}, "sources: a/b, .c: expected names of folders"),
        ({"sources": ["a"], "ignore_folders": ["a"]}, "sources: in ignore_folders, too: a"),
        ({"sources": [""]}, "sources: '' is no name"),
        ({"classes": ["b", " "]}, "classes: ' ' is no name"),
        ({"classes": ["eat", "b", "Eat"]}, r"more than once \(case does not matter\): eat, Eat"),
        ({"classes": ["b", "b"]}, "more than once .*: b, b"),
        ({"other_class": "Other"}, "other_class: 'Other' needs classes"),
        ({"classes": ["eat", "other"], "other_class": "Other"}, "'Other' is spelt differently"),
    ],
)
def test_contradictory_selections_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        build(SyncSettings, {"source": "x", "layout": "sources", **settings})


def test_the_table_says_what_every_folder_gave(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(
        project.source / "kitchen/eating_soup/1.mp4", project.source / "office/Eating_rice/2.mp4"
    )
    project.labels(classes=["eating"], other_class="Other")
    told = capfd.readouterr().err
    rows = [line.split() for line in told.partition("clips of each folder:")[2].splitlines()]
    for row in (
        ["source", "folder", "class", "clips"],
        ["kitchen", "eating_soup", "eating", "2"],
        ["office", "Eating_rice", "eating", "2"],
        ["office", "typing", "Other", "1"],
    ):
        assert row in rows
    assert "copies of other clips: 1;" in told
    assert "office/Eating_rice/2.mp4 = kitchen/eating_soup/1.mp4" in told


def test_another_selection_copies_nothing_again_and_shows_nothing_else(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    wide = project.labels(classes=["eating", "drinking"])
    before = project.mirrored()
    capfd.readouterr()
    narrow = project.labels(sources=["kitchen"], classes=["drinking"])
    assert list(narrow) == ["kitchen/drinking_tea/1.mp4"]
    told = capfd.readouterr().err
    assert "0 new, 0 changed, 1 here already (1 of them in mirrors with other settings)" in told
    assert "no more in the source" not in told
    assert "removed" not in told
    assert project.labels(classes=["eating", "drinking"]) == wide
    assert project.mirrored() == before


@pytest.mark.parametrize("mirror", [False, True])
def test_clips_of_the_mirror_that_are_not_chosen_stay_unseen_and_unharmed(
    mirror: bool, project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever a mirror holds, as one would that several selections share."""
    selection = {"sources": ["kitchen"], "classes": ["drinking"], "mirror": mirror}
    project.labels(**selection)
    (narrow,) = project.state.glob("dataset_sync/*/work")
    project.labels(classes=["eating", "drinking", "typing"])
    (wide,) = set(project.state.glob("dataset_sync/*/work")) - {narrow}
    shutil.rmtree(narrow)
    shutil.copytree(wide, narrow)
    capfd.readouterr()
    assert list(project.labels(**selection)) == ["kitchen/drinking_tea/1.mp4"]
    told = capfd.readouterr().err
    assert "no more in the source" not in told
    assert "removed" not in told
    files = {path.name for path in narrow.glob("objects/*/*")}
    assert files == {path.name for path in wide.glob("objects/*/*")}


def test_kept_clips_count_and_those_moved_out_of_the_selection_leave(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    selection = {"classes": ["eating", "drinking"]}
    first = project.labels(**selection)
    shutil.rmtree(project.source / "kitchen" / "drinking_tea")
    assert project.labels(**selection) == first
    assert "no clips of 'drinking'" in project.refused(**selection, mirror=True)
    (project.source / "kitchen/eating_soup/2.mp4").rename(project.source / "office/typing/2.mp4")
    capfd.readouterr()
    assert set(first) - set(project.labels(**selection)) == {"kitchen/eating_soup/2.mp4"}
    told = capfd.readouterr().err
    assert "1 clip moved to folders that are left out: kitchen/eating_soup/2.mp4" in told


def test_tables_may_name_clips_that_are_left_out(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    groups, segments = project.folder / "groups.csv", project.folder / "segments.csv"
    groups.write_text("clip,group\nkitchen/eating_soup/1.mp4,a\nhall/walking/1.mp4,b\n")
    segments.write_text(
        "clip,start,end,label\nkitchen/eating_soup/1.mp4,0,0.5,eating\n"
        "hall/walking/1.mp4,0,0.5,walking\n"
    )
    tables = {"groups": str(groups), "segments": str(segments)}
    data = project.sync(**RULE, **tables, sources=["kitchen"], classes=["eating"])
    told = capfd.readouterr().err
    assert "do not exist" not in told
    assert "segments of 1 clips that are left out are not used" in told
    assert [c.group for c in data.clips if c.segments] == ["a"]
    segments.write_text("clip,start,end,label\nkitchen/eating_soup/1.mp4,0,0.5,eatin\n")
    told = project.refused(**tables, sources=["kitchen"], classes=["eating"])
    assert "'eatin' of 1 segments is no class; did you mean 'eating'?; correct it, or add" in told


def test_a_task_chooses(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    task = project.folder / "task"
    task.mkdir()
    settings = {"sources": ["kitchen", "office"], "classes": ["eating"], "other_class": "Other"}
    Task.create("meals", {**settings, "train_size": 5.0}).save(task)
    told = project.sync(task, **RULE, sources=["hall"])
    assert told == project.sync(**RULE, **settings)
    assert told.classes == ["Other", "eating"]
    assert "task: 'meals' says sources=['kitchen', 'office']" in capfd.readouterr().err
