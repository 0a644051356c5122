"""`trainyard tao` as it is called: both orders of words, check, split, dry run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from components.core.tao.key import VARIABLE
from pipelines.cli import main
from pipelines.demo_tao import EXPERIMENTS, write_project

SECRET = "tlt_encode"
DSSD, DETECTNET, DINO = EXPERIMENTS


def tao(*words: str) -> Result:
    return CliRunner().invoke(main, ["tao", *words])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tao")
    write_project(root)
    return root


@pytest.fixture
def project(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, SECRET)
    monkeypatch.delenv("TRAINYARD_STATE_DIR", raising=False)
    root = tmp_path / "root"
    shutil.copytree(written, root)
    monkeypatch.chdir(root)
    return root / "projects" / "example"


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
    }


def test_a_sound_project(project: Path) -> None:
    done = tao("check", "projects/example")
    assert done.exit_code == 0, done.output
    assert f"{DSSD} (dssd): 48 images (4 without objects; disc 40, " in done.output
    assert f"{DINO} (dino): 30 images" in done.output


def test_check_tells_everything_that_is_wrong_at_once(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE)
    (project / "specs" / DSSD / "convert.txt").unlink()
    train = project / "specs" / DETECTNET / "train.txt"
    train.write_text(train.read_text().replace("$pretrained_model", "$pretrained"))
    yaml = project / "specs" / DINO / "train.yaml"
    yaml.write_text(yaml.read_text() + "  bad: [\n")
    label = sorted((project / "data/kitti_detection/full/label_2").glob("*.txt"))[0]
    label.write_text("disc 0 0 0 10 10 20\n")
    before = tree(project)
    done = tao("-p", "example", "check")
    assert done.exit_code == 3
    for words in (
        f"{DSSD} has no model key: set {VARIABLE}",
        "holds no convert.txt or convert.yaml",
        "unknown placeholder $pretrained; did you mean '$pretrained_model'?",
        "train.yaml:36: not valid YAML",
        f"{label}: line 1: 7 columns instead of 15",
    ):
        assert words in done.output, done.output
    assert tree(project) == before


def test_wrong_projects_are_told_with_all_their_problems(project: Path) -> None:
    file = project / "experiments.yml"
    text = file.read_text().replace("head: dssd", "head: dsd").replace("fp16", "fp61")
    file.write_text(text)
    done = tao("train", "example", DSSD)
    assert done.exit_code == 2
    assert "experiments.yml:8: experiments.dssd_resnet18_01.head: got 'dsd'" in done.output
    assert done.output.count("'fp61' is none of fp32, fp16, int8; did you mean 'fp16'?") == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train",), "name a project"),
        (("-p", "example", "train"), "name experiments; example has dssd_resnet18_01, "),
        (("train", "example", "dssd_resnet18_1"), "no experiment 'dssd_resnet18_1'; did you mean"),
        (("split", "example", DSSD), "Missing option '--subset'"),
        (("split", "example", DSSD, "--subset", "ful"), "subsets are full, train, val"),
        (
            ("split", "example", DSSD, "--subset", "full", "--overwrite", "--val", "-1"),
            "--val: got -1",
        ),
        (
            ("split", "example", DSSD, "--subset", "full", "--overwrite", "--val", "2"),
            "--val: got 2",
        ),
        (("split", "example", DSSD, "--subset", ".", "--overwrite"), "--subset: got '.'"),
        (("split", "example", DSSD, "--subset", "", "--overwrite"), "--subset: got ''"),
        (("split", "example", DSSD, "--subset", "..", "--overwrite"), "--subset: got '..'"),
        (
            ("split", "example", DSSD, "--subset", "../coco_detection", "--overwrite"),
            "accepted is the plain name of a folder in",
        ),
        (
            ("split", "example", DSSD, "--subset", "train/", "--overwrite"),
            "got 'train/', accepted is the plain name",
        ),
    ],
)
def test_wrong_words(project: Path, words: tuple[str, ...], message: str) -> None:
    before = tree(project)
    done = tao(*words)
    assert done.exit_code in (2, 3)
    assert message in done.output
    assert tree(project) == before


def test_split_moves_what_was_there_into_the_archive(project: Path) -> None:
    data = project / "data" / "kitti_detection"
    old, full = tree(data / "val"), tree(data / "full")
    for name in ("..split.partial-full.partial-1a2b3c4d", ".split.partial-other"):
        labels = data / name / "train" / "label_2"  # of calls that were killed
        labels.mkdir(parents=True)
        (labels / "a.txt").write_text("disc 0")
    words = ("--subset", "full", "--val", "0.25", DSSD)
    done = tao("-p", "example", "split", *words)
    assert done.exit_code == 3
    assert "--overwrite moves what is there into the archive" in done.output
    assert tree(data / "val") == old
    done = tao("split", "--overwrite", "example", *words)
    assert done.exit_code == 0, done.output
    parts = {
        part: {path.stem for path in (data / part / "image_2").iterdir()}
        for part in ("train", "val")
    }
    assert len(parts["val"]) == 6
    assert len(parts["train"]) == 18
    assert not parts["train"] & parts["val"]
    labels = {path.stem for path in (data / "val" / "label_2").iterdir()}
    assert labels == parts["val"]
    assert tree(data / "full") == full
    (kept,) = (project / "models" / ".archive").iterdir()
    assert tree(kept / "val") == old
    assert sorted(path.name for path in data.iterdir()) == ["full", "train", "val"]


def test_split_is_the_same_for_the_same_seed(project: Path) -> None:
    data = project / "data" / "kitti_detection"

    def divided(seed: str) -> set[str]:
        words = ("--subset", "full", "--overwrite", "--seed", seed, DSSD)
        done = tao("-p", "example", "split", *words)
        assert done.exit_code == 0, done.output
        return {path.name for path in (data / "val" / "image_2").iterdir()}

    assert divided("1") == divided("1")
    assert divided("1") != divided("2")


def test_split_refuses_a_broken_label_and_changes_nothing(project: Path) -> None:
    data = project / "data" / "kitti_detection"
    label = sorted((data / "full/label_2").glob("*.txt"))[3]
    label.write_text("disc 0 0\n")
    before = tree(project)
    done = tao("split", "example", DSSD, "--subset", "full", "--overwrite")
    assert done.exit_code == 3
    assert f"{label}: line 1: 3 columns" in done.output
    assert tree(project) == before


def commands(done: Result, project: Path) -> list[str]:
    assert done.exit_code == 0, done.output
    lines = [line[2:] for line in done.output.splitlines() if line.startswith("$ ")]
    return [line.replace(str(project.parents[1]), "ROOT") for line in lines]


def test_dry_runs_show_the_commands_of_the_release_and_hide_the_key(project: Path) -> None:
    before = tree(project)
    done = tao("-p", "example", "convert", DSSD, "--dry-run")
    assert commands(done, project) == [
        "dssd dataset_convert -d $WORK/convert.txt -o $WORK/data/tfrecord -r $WORK/convert"
    ]
    assert f'root_directory_path: "{project}/data/kitti_detection/full"' in done.output
    done = tao("train", "example", DSSD, DETECTNET, DINO, "--dry-run")
    weights = "ROOT/repositories/pretrained_object_detection/pretrained_object_detection_vresnet18"
    key = f"${VARIABLE}"
    assert commands(done, project) == [
        f"dssd train -e $WORK/train.txt -r $WORK -k {key} --gpus 1 --gpu_index 0 "
        f"-m {weights}/resnet_18.hdf5",
        f"detectnet_v2 train -e $WORK/train.txt -r $WORK -k {key} --gpus 1 --gpu_index 0",
        f"dino train -e $WORK/train.yaml results_dir=$WORK encryption_key={key} "
        "train.num_gpus=1 train.gpu_ids=[0]",
    ]
    done = tao("export", "--dry-run", "example", DSSD)
    assert commands(done, project) == [
        f"dssd export -m $CHECKPOINT -o $WORK/model.onnx -e $WORK/train.txt -k {key} "
        "--gen_ds_config --results_dir $WORK"
    ]
    assert SECRET not in done.output
    assert tree(project) == before
