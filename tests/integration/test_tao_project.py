"""`trainyard tao` from data to engine, with the project of `demo_tao`.

The programs of NVIDIA are those of `tao_fakes`; everything up to their call is real.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tao_fakes import calls, install

from components.core.artifacts.model_bundle import ModelBundle
from components.core.tao.key import VARIABLE
from pipelines.cli import main
from pipelines.demo_tao import EXPERIMENTS, write_project

SECRET = "tlt_encode_7"
DSSD, DETECTNET, DINO = EXPERIMENTS


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TAO_PATH", f"{install(tmp_path / 'bin')}:/usr/bin:/bin")
    monkeypatch.setenv("FAKE_TAO_CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv(VARIABLE, SECRET)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.delenv("TRAINYARD_STATE_DIR", raising=False)
    folder = write_project(tmp_path / "root")
    monkeypatch.chdir(tmp_path / "root")
    return folder


def tao(*words: str, code: int = 0) -> Result:
    done = CliRunner().invoke(main, ["tao", *words])
    assert done.exit_code == code, (done.output, done.exception)
    return done


def called(project: Path) -> list[list[str]]:
    """The command lines so far, with the last two names of paths in them."""
    found = calls(project.parents[2] / "calls")
    return [["/".join(w.rsplit("/", 2)[-2:]) for w in call["command"]] for call in found]


def shortened(words: str) -> list[str]:
    return words.split(" ")


def data(project: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for part in ("full", "train", "val")
        for path in project.glob(f"data/*/{part}/**/*")
        if path.is_file()
    }


@pytest.mark.slow
def test_all_experiments_from_data_to_export(project: Path) -> None:
    before = data(project)
    told = [tao("-p", "example", "convert", *EXPERIMENTS)]
    told += [tao(task, "example", *EXPERIMENTS) for task in ("train", "evaluate", "export")]
    lines = called(project)
    assert [words[:2] for words in lines] == [
        [DSSD.split("_")[0], "dataset_convert"], ["detectnet_v2", "dataset_convert"],
        *([head, task] for task in ("train", "evaluate", "export")
          for head in ("dssd", "detectnet_v2", "dino")),
    ]  # fmt: skip
    assert lines[0][2:6] == ["-d", "convert/convert.txt", "-o", "data/tfrecord"]
    assert lines[0][6] == "-r"
    weights = "pretrained_object_detection_vresnet18/resnet_18.hdf5"
    work = lines[2][3].partition("/")[0]
    assert lines[2] == shortened(
        f"dssd train -e {work}/train.txt -r {work}/results -k {SECRET} --gpus 1 --gpu_index 0 "
        f"-m {weights}"
    )
    work = lines[3][3].partition("/")[0]
    assert lines[3] == shortened(
        f"detectnet_v2 train -e {work}/train.txt -r {work}/results -k {SECRET} "
        "--gpus 1 --gpu_index 0"
    )
    assert lines[8] == shortened(
        "dssd export -m weights/dssd_resnet18_epoch_080.hdf5 -o export/model.onnx "
        f"-e export/train.txt -k {SECRET} --gen_ds_config --results_dir work/export"
    )
    for name in EXPERIMENTS:
        bundle = ModelBundle.load(project / "models" / name / "exported")
        assert bundle.classes == ["disc", "square", "triangle"]
        assert (project / "models" / name / "report.html").is_file()
    assert data(project) == before
    assert SECRET not in "".join(one.output for one in told)
    written = [p for p in project.parent.rglob("*") if p.is_file()]
    assert [p for p in written if SECRET.encode() in p.read_bytes()] == []

    count = len(lines)
    tao("train", "example", *EXPERIMENTS)
    tao("export", "example", *EXPERIMENTS)
    assert len(called(project)) == count


def test_another_checkpoint_is_exported_without_training_again(project: Path) -> None:
    tao("-p", "example", "convert", DETECTNET)
    tao("-p", "example", "train", DETECTNET)
    tao("-p", "example", "export", DETECTNET)
    kept = ModelBundle.load(project / "models" / DETECTNET / "exported")
    refused = tao("export", "example", DETECTNET, "-m", "model.epoch-8000", code=3)
    assert "left no checkpoint 'model.epoch-8000'; there are " in refused.output
    tao("export", "example", DETECTNET, "-m", "model.epoch-70.hdf5", "--overwrite")
    lines = called(project)
    assert [words[1] for words in lines] == ["dataset_convert", "train", "export", "export"]
    assert lines[-1][3] == "weights/model.epoch-70.hdf5"
    (archived,) = (project / "models" / ".archive").iterdir()
    assert ModelBundle.load(archived / "exported").fingerprint == kept.fingerprint


def test_a_failure_stops_or_goes_on_and_old_results_stay(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tao("-p", "example", "convert", DSSD, DINO)
    tao("train", "example", DINO)
    spec = project / "specs" / DINO / "train.yaml"
    spec.write_text(spec.read_text().replace("num_epochs: 12", "num_epochs: 4"))
    refused = tao("train", "example", DINO, code=3)
    assert "made with other settings, specifications or data; --overwrite" in refused.output
    monkeypatch.setenv("FAKE_TAO_FAIL_AT", "3")
    failed = tao("train", "example", DINO, DSSD, "--overwrite", code=1)
    assert f"not started: {DSSD}" in failed.output
    failed = tao("train", "example", DINO, DSSD, "--overwrite", "--keep-going", code=1)
    assert "train: 0 of 2 experiments done" in failed.output
    assert len(ModelBundle.load(project / "models" / DINO / "model").curves) == 12
    monkeypatch.delenv("FAKE_TAO_FAIL_AT")
    tao("train", "example", DINO, DSSD, "--overwrite", "-s")
    assert len(ModelBundle.load(project / "models" / DINO / "model").curves) == 4


def test_a_pruned_model_is_the_one_that_is_exported(project: Path) -> None:
    for task in ("convert", "train", "prune", "export", "engine"):
        tao("-p", "example", task, DSSD)
    models = project / "models" / DSSD
    pruned = ModelBundle.load(models / "pruned").training["checkpoint"]
    lines = called(project)
    assert [words[1] for words in lines] == [
        "dataset_convert", "train", "prune", "train", "export", "gen_trt_engine",
    ]  # fmt: skip
    assert lines[4][3] == f"weights/{pruned}"
    assert (models / "engine" / "model.plan").is_file()
    tao("export", "example", DSSD, "--unpruned", "--overwrite")
    assert called(project)[-1][3] == "weights/dssd_resnet18_epoch_080.hdf5"


def test_without_the_programs_nothing_is_started(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAO_PATH", "/usr/bin:/bin")
    done = tao("convert", "example", DSSD, DETECTNET, code=3)
    for program in ("dssd", "detectnet_v2"):
        assert f"the program {program} is not there; run this step in the image" in done.output
    assert not list(project.glob("data/*/tfrecords_*"))
