"""The stages of TAO one after the other, from a project to a served model.

NVIDIA's programs are stood for by `tao_fakes`; everything up to their call is real.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tao_fakes

from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.tao_data import TaoData
from components.core.artifacts.tao_evaluation import TaoEvaluation
from components.core.errors import TrainyardError
from components.core.formats.triton import parse_config
from components.tao_convert.stage import STAGE as CONVERT
from components.tao_convert.stage import ConvertSettings
from components.tao_engine.stage import STAGE as ENGINE
from components.tao_engine.stage import EngineSettings
from components.tao_evaluate.stage import STAGE as EVALUATE
from components.tao_evaluate.stage import EvaluateSettings
from components.tao_export.stage import STAGE as EXPORT
from components.tao_export.stage import ExportSettings
from components.tao_prune.stage import STAGE as PRUNE
from components.tao_prune.stage import PruneSettings
from components.tao_train.stage import STAGE as TRAIN
from components.tao_train.stage import TrainSettings
from components.triton_publish.stage import STAGE as PUBLISH
from components.triton_publish.stage import PublishSettings
from pipelines.demo_tao import write_project

KEY = "tlt_encode"
DSSD, DETECTNET, DINO = "dssd_resnet18_01", "detectnetv2_resnet18_01", "dino_fan_01"


class Run:
    """A project, and results of its stages in a folder."""

    def __init__(self, folder, experiment):
        self.folder, self.experiment = folder, experiment
        self.project = write_project(folder / "work")
        self.settings = {"project": str(self.project), "experiment": experiment}

    def stage(self, stage, settings, inputs, output, **more):
        stage.execute(
            settings(**self.settings, **more),
            {name: self.folder / place for name, place in inputs.items()},
            {name: self.folder / place for name, place in output.items()},
            self.folder / "state",
        )

    def convert(self, **more):
        self.stage(CONVERT, ConvertSettings, {}, {"records": "records"}, **more)
        return TaoData.load(self.folder / "records")

    def train(self, **more):
        records = {"records": "records"}
        self.stage(TRAIN, TrainSettings, records, {"model": "model"}, **more)
        return ModelBundle.load(self.folder / "model")

    def evaluate(self, model="model"):
        inputs = {"model": model, "records": "records"}
        outputs = {"evaluation": "evaluation", "report": "report.html"}
        self.stage(EVALUATE, EvaluateSettings, inputs, outputs)
        return TaoEvaluation.load(self.folder / "evaluation")

    def export(self, **more):
        inputs = {"model": "model", "records": "records"}
        self.stage(EXPORT, ExportSettings, inputs, {"exported": "exported"}, **more)
        return ModelBundle.load(self.folder / "exported")

    def engine(self, **more):
        inputs = {"exported": "exported", "records": "records"}
        self.stage(ENGINE, EngineSettings, inputs, {"engine": "engine"}, **more)
        return ModelBundle.load(self.folder / "engine")

    def publish(self, model):
        inputs = {"model": self.folder / model, "evaluation": self.folder / "evaluation"}
        PUBLISH.execute(
            PublishSettings(repository=str(self.folder / "repository")),
            inputs,
            {"published": self.folder / "published"},
            self.folder / "state",
        )
        return self.folder / "repository" / self.experiment

    def spec(self, name):
        return self.project / "specs" / self.experiment / name

    def shorten(self, epochs):
        """Fewer epochs, to be quick."""
        for path in self.spec("").iterdir():
            text = path.read_text()
            for many in ("80", "12"):
                text = text.replace(f"num_epochs: {many}", f"num_epochs: {epochs}")
            path.write_text(text)


@pytest.fixture
def tao(tmp_path, monkeypatch):
    """Makes runs of experiments; the programs are there, and the key is in the environment."""
    programs = tao_fakes.install(tmp_path / "bin")
    monkeypatch.setenv("TAO_PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("TRAINYARD_TAO_KEY", KEY)
    monkeypatch.setenv("FAKE_TAO_CALLS", str(tmp_path / "calls"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return lambda experiment: Run(tmp_path, experiment)


def commands(folder):
    """The commands that were run, without the folders of the work."""
    told = []
    for call in tao_fakes.calls(folder / "calls"):
        words = []
        for word in call["command"]:
            name, equals, value = word.partition("=")
            path = value if equals and "/" in value else word
            place = Path(path.strip("[]"))
            short = place.name if place.is_absolute() else path
            words.append(f"{name}={short}" if equals and "/" in value else short)
        told.append(" ".join(words))
    return told


def no_key_in(folder):
    for path in folder.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path


def test_dssd_of_the_readme_from_records_to_an_engine_that_is_published(tao, tmp_path):
    run = tao(DSSD)
    data = run.convert()
    assert (data.images, data.head, data.form) == (48, "dssd", "kitti-tfrecord")
    assert data.classes == {"disc": 40, "square": 28, "triangle": 50}
    bundle = run.train()
    assert bundle.formats == {"tao": "weights/dssd_resnet18_epoch_080.hdf5"}
    assert bundle.classes == ["disc", "square", "triangle"]
    assert [curve["epoch"] for curve in bundle.curves] == list(range(1, 81))
    assert (bundle.training["epoch"], bundle.dataset) == (80, data.content)
    evaluation = run.evaluate()
    assert evaluation.figures == {"map": 0.715}
    assert evaluation.class_figures == {"disc": 0.705, "square": 0.715, "triangle": 0.725}
    exported = run.export()
    assert exported.formats == {"onnx": "model.onnx"}
    assert [(t.name, t.shape) for t in exported.inputs] == [("Input", [-1, 3, 128, 128])]
    assert exported.architecture["plugins"] == ["NMSDynamic_TRT"]
    with pytest.raises(TrainyardError, match=r"NMSDynamic_TRT, which only TensorRT runs"):
        run.publish("exported")
    run.engine(max_batch_size=4)
    model = run.publish("engine")
    assert (model / "1" / "model.plan").read_text() == "engine fp16"
    assert (model / "labels.txt").read_text() == "disc\nsquare\ntriangle\n"
    config = parse_config((model / "config.pbtxt").read_text(), "config.pbtxt")
    assert (config.backend, config.platform, config.max_batch_size) == (
        "tensorrt",
        "tensorrt_plan",
        4,
    )
    assert {t.name: list(t.dims) for t in config.input} == {"Input": [3, 128, 128]}
    assert {t.name: list(t.dims) for t in config.output} == {"NMS": [1, 200, 7], "NMS_1": [1, 1, 1]}
    card = (model / "1" / "README.md").read_text()
    assert "| map | 0.7150 |" in card
    assert "| square | 28 | 0.715 |" in card
    assert commands(tmp_path) == [
        "dssd dataset_convert -d convert.txt -o tfrecord -r convert",
        f"dssd train -e train.txt -r results -k {KEY} --gpus 1 --gpu_index 0 -m resnet_18.hdf5",
        f"dssd evaluate -e train.txt -m dssd_resnet18_epoch_080.hdf5 -r results -k {KEY}",
        f"dssd export -m dssd_resnet18_epoch_080.hdf5 -o model.onnx -e train.txt -k {KEY} "
        "--gen_ds_config --results_dir engine".replace("engine", "export"),
        f"dssd gen_trt_engine -e train.txt -m model.onnx -r engine -k {KEY} --data_type fp16 "
        "--engine_file model.plan --min_batch_size 1 --opt_batch_size 4 --max_batch_size 4",
    ]
    for place in ("records", "model", "evaluation", "exported", "engine", "repository", "state"):
        no_key_in(tmp_path / place)


def test_detectnet_of_the_readme_keeps_its_best_epoch_and_is_served_as_onnx(tao, tmp_path):
    run = tao(DETECTNET)
    run.shorten(4)
    run.convert()
    bundle = run.train()
    assert bundle.formats == {"tao": "weights/model.epoch-2.hdf5"}
    assert bundle.training["chosen"] == "epoch 2 has the best map, 0.9"
    assert run.evaluate().class_figures["disc"] == 0.705
    exported = run.export()
    assert exported.architecture["plugins"] == []
    model = run.publish("exported")
    assert (model / "1" / "model.onnx").is_file()
    config = parse_config((model / "config.pbtxt").read_text(), "config.pbtxt")
    assert config.backend == "onnxruntime"
    assert commands(tmp_path)[:2] == [
        "detectnet_v2 dataset_convert -d convert.txt -o tfrecord -r convert",
        f"detectnet_v2 train -e train.txt -r results -k {KEY} --gpus 1 --gpu_index 0",
    ]


def test_a_pytorch_head_reads_coco_and_is_given_overrides(tao, tmp_path, monkeypatch):
    monkeypatch.delenv("TRAINYARD_TAO_KEY")
    run = tao(DINO)
    data = run.convert()
    assert (data.files, data.command, data.form) == ([], "", "coco")
    bundle = run.train()
    assert bundle.formats == {"tao": "weights/model_epoch_001.pth"}
    run.evaluate()
    run.export()
    engine = run.engine(export_type="int8", calibration_batches=2, calibration_batch_size=3)
    assert engine.architecture["data_type"] == "int8"
    assert (tmp_path / "engine" / "calibration.bin").read_text().endswith("6 images\n")
    told = commands(tmp_path)
    assert told[0] == "dino train -e train.yaml results_dir=results train.num_gpus=1 " + (
        "train.gpu_ids=[0]"
    )
    assert "gen_trt_engine.tensorrt.data_type=int8" in told[-1]
    assert "gen_trt_engine.tensorrt.calibration.cal_image_dir=calibration" in told[-1]


def test_the_key_that_pytorch_programs_write_beside_results_is_in_no_folder(
    tao, tmp_path, monkeypatch
):
    run = tao(DINO)
    run.convert()
    monkeypatch.setenv("FAKE_TAO_FAIL_AT", "1")
    with pytest.raises(TrainyardError, match="broken in epoch 1"):
        run.train()
    written = list(tmp_path.glob("state/**/results/train/experiment.yaml"))
    assert [path.read_text() for path in written] == ["encryption_key: $TRAINYARD_TAO_KEY\n"]
    no_key_in(tmp_path / "state")
    monkeypatch.delenv("FAKE_TAO_FAIL_AT")
    run.train()
    run.evaluate()
    run.export()
    run.engine()
    for place in ("model", "evaluation", "exported", "engine", "state"):
        no_key_in(tmp_path / place)


def test_int8_before_release_5_is_calibrated_in_the_export_with_training_images(tao, tmp_path):
    run = tao(DSSD)
    run.shorten(2)
    release = {"release": "4.0.0-tf1.15.5"}
    run.convert(**release)
    run.train(**release)
    exported = run.export(export_type="int8", calibration_batches=2, **release)
    assert exported.formats == {"etlt": "model.etlt", "tensorrt": "model.plan"}
    assert (tmp_path / "exported" / "calibration.bin").read_text().endswith("16 images\n")
    assert [(t.name, t.shape) for t in exported.inputs] == [("Input", [-1, 3, 128, 128])]
    assert "--data_type int8 --cal_image_dir calibration" in commands(tmp_path)[-1]


def test_a_pruned_network_is_retrained_from_a_specification_of_its_own(tao, tmp_path):
    run = tao(DETECTNET)
    run.shorten(3)
    run.convert()
    run.train()
    before = run.spec("train.txt").read_text()
    inputs = {"model": "model", "records": "records"}
    run.stage(PRUNE, PruneSettings, inputs, {"pruned": "pruned"}, prune_threshold=0.3)
    pruned = ModelBundle.load(tmp_path / "pruned")
    assert pruned.training["pruning_ratio"] == 0.35
    assert pruned.training["pruned_from"] == ModelBundle.load(tmp_path / "model").fingerprint
    spec = (tmp_path / "pruned" / "training" / "train.txt").read_text()
    assert 'pruned.hdf5"' in spec
    assert "load_graph: true" in spec
    assert run.spec("train.txt").read_text() == before
    assert commands(tmp_path)[2:] == [
        f"detectnet_v2 prune -m model.epoch-2.hdf5 -o pruned.hdf5 -pth 0.3 -k {KEY} "
        "--results_dir pruning",
        f"detectnet_v2 train -e train.txt -r results -k {KEY} --gpus 1 --gpu_index 0",
    ]
    run.stage(PRUNE, PruneSettings, inputs, {"pruned": "same"}, prune_threshold=0)
    assert (tmp_path / "same" / "model.json").read_bytes() == (
        tmp_path / "model" / "model.json"
    ).read_bytes()


KILLED = """
import sys
from pathlib import Path
from components.tao_train.stage import STAGE, TrainSettings
folder, project, experiment = map(Path, sys.argv[1:])
settings = TrainSettings(project=str(project), experiment=experiment.name)
inputs, outputs = {"records": folder / "records"}, {"model": folder / "model"}
STAGE.execute(settings, inputs, outputs, folder / "state")
"""


@pytest.mark.parametrize(
    ("experiment", "resumed"),
    [
        (DSSD, "-m dssd_resnet18_epoch_{last:03d}.hdf5 --initial_epoch {next}"),
        (DETECTNET, "--gpus 1 --gpu_index 0"),
        (DINO, "train.resume_training_checkpoint_path=model_epoch_{index:03d}.pth"),
    ],
)
def test_a_killed_training_goes_on_from_its_newest_whole_checkpoint(
    tao, tmp_path, monkeypatch, experiment, resumed
):
    run = tao(experiment)
    run.shorten(6)
    run.convert()
    monkeypatch.setenv("FAKE_TAO_SECONDS", "0.4")
    words = [sys.executable, "-c", KILLED, str(tmp_path), str(run.project), experiment]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while len(_checkpoints(tmp_path)) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.5)
    found = _checkpoints(tmp_path)
    newest = max(found)
    found[newest].write_bytes(found[newest].read_bytes()[:50])  # as a kill may leave it
    if experiment == DETECTNET:
        found[newest].with_suffix(".ckzip").write_bytes(b"PK")
    monkeypatch.setenv("FAKE_TAO_SECONDS", "0")
    bundle = run.train()
    last = newest - 1
    told = resumed.format(last=last, next=last + 1, index=last - 1)
    if experiment != DINO:
        assert told in commands(tmp_path)[-1]
    assert [curve["epoch"] for curve in bundle.curves] == [1, 2, 3, 4, 5, 6]
    log = (tmp_path / "model" / "training" / "train.log").read_text()
    assert log.count("Epoch 1/6 done") == 1
    again = len(tao_fakes.calls(tmp_path / "calls"))
    shutil.rmtree(tmp_path / "model")
    run.train()  # finished: taken as it is
    assert len(tao_fakes.calls(tmp_path / "calls")) == again


def _checkpoints(folder):
    """Epoch → checkpoint of the training in work."""
    found = {}
    for path in folder.glob("state/tao_train/*/work/*/results/**/*epoch*"):
        if path.suffix in (".hdf5", ".pth"):
            number = int(path.stem.replace("-", "_").rpartition("_")[2])
            found[number + (path.suffix == ".pth")] = path
    return found


def test_a_failed_program_is_a_failed_stage_that_shows_no_key(tao, tmp_path, monkeypatch):
    run = tao(DSSD)
    run.shorten(3)
    run.convert()
    monkeypatch.setenv("FAKE_TAO_FAIL_AT", "2")
    with pytest.raises(TrainyardError) as caught:
        run.train()
    assert "ValueError: broken in epoch 2" in str(caught.value)
    assert "the key was $TRAINYARD_TAO_KEY" in str(caught.value)
    assert not (tmp_path / "model").exists()
    monkeypatch.setenv("FAKE_TAO_FAIL_QUIETLY", "1")
    with pytest.raises(TrainyardError, match=r"says: .*, key_\$TRAINYARD_TAO_KEY_; look at"):
        run.train()
    no_key_in(tmp_path / "state")
    monkeypatch.delenv("FAKE_TAO_FAIL_AT")
    assert len(run.train().curves) == 3
    assert "--initial_epoch 2" in commands(tmp_path)[-1]


def test_everything_wrong_is_told_before_anything_is_started(tao, tmp_path):
    run = tao(DSSD)
    label = next((run.project / "data" / "kitti_detection" / "train" / "label_2").glob("*.txt"))
    label.write_text("disc 0 0 0 1 2 three 4 0 0 0 0 0 0 0\n" + label.read_text())
    spec = run.spec("train.txt")
    spec.write_text(spec.read_text().replace("$tfrecords", "$tfrecord", 1))
    run.spec("convert.txt").unlink()
    with pytest.raises(TrainyardError) as caught:
        run.convert(release="5.5.0-pyt")
    told = str(caught.value)
    for part in (
        "release: dssd runs with TensorFlow 1",
        "unknown placeholder $tfrecord",
        "holds no convert.txt",
        f"{label}",
        "line 1",
    ):
        assert part in told, part
    assert tao_fakes.calls(tmp_path / "calls") == []


def test_a_16th_column_is_cut_in_a_copy_and_no_label_is_lost(tao, tmp_path):
    run = tao(DSSD)
    run.shorten(2)
    folder = run.project / "data" / "kitti_detection" / "full" / "label_2"
    labels = sorted(folder.glob("*.txt"))
    crowded = next(path for path in labels if len(path.read_text().splitlines()) > 1)
    lines = crowded.read_text().splitlines()
    crowded.write_text("".join(f"{line} 0.9\n" for line in lines))
    before = {path: path.read_bytes() for path in folder.parent.rglob("*") if path.is_file()}
    data = run.convert()
    assert data.source == "dataset"
    copy = tmp_path / "records" / "dataset" / "full" / "label_2" / crowded.name
    assert copy.read_text().splitlines() == lines
    assert {path: path.read_bytes() for path in before} == before
    run.train()
    text = (tmp_path / "model" / "training" / "train.txt").read_text()
    assert str(tmp_path / "records" / "dataset") in text or "records/dataset" in text


def test_a_byte_order_mark_is_cut_in_a_copy(tao, tmp_path):
    run = tao(DSSD)
    folder = run.project / "data" / "kitti_detection" / "full" / "label_2"
    marked = max(folder.glob("*.txt"), key=lambda path: path.stat().st_size)
    text = marked.read_text(encoding="utf-8")
    marked.write_text(text, encoding="utf-8-sig")
    assert run.convert().source == "dataset"
    copy = tmp_path / "records" / "dataset" / "full" / "label_2" / marked.name
    assert copy.read_text(encoding="utf-8") == text


def test_records_of_one_experiment_do_not_train_another(tao):
    run = tao(DSSD)
    run.convert()
    run.settings["experiment"] = DETECTNET
    with pytest.raises(TrainyardError, match=r"data of dssd_resnet18_01 \(dssd\), not of"):
        run.train()


def test_a_model_of_other_data_is_evaluated_and_exported_with_a_word(tao, tmp_path, capfd):
    run = tao(DSSD)
    run.shorten(2)
    first = run.convert()
    run.train()
    run.evaluate()
    assert "was trained on other data" not in capfd.readouterr().err
    folder = run.project / "data" / "kitti_detection" / "full" / "label_2"
    crowded = max(folder.glob("*.txt"), key=lambda path: path.stat().st_size)
    crowded.write_text("".join(crowded.read_text().splitlines(keepends=True)[1:]))
    for place in ("records", "evaluation", "report.html"):
        (tmp_path / place).rename(tmp_path / f"first_{place}")
    second = run.convert()
    assert second.content != first.content
    notes = " ".join(run.evaluate().notes)
    told = f"was trained on other data ({first.content[:12]}) than the records are of"
    assert told in notes
    assert "the same part chose" not in notes.lower()
    assert told in capfd.readouterr().err
    run.export()
    assert told in capfd.readouterr().err


def test_more_gpus_than_there_are_is_an_error_and_host_indices_have_no_effect(
    tao, tmp_path, monkeypatch
):
    run = tao(DSSD)
    run.shorten(2)
    run.convert()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(TrainyardError, match="processes: 4 are asked for, 2 can be seen"):
        run.train(processes=4)
    run.train(processes=2)
    assert "--gpus 2 --gpu_index 0 1" in commands(tmp_path)[-1]


def test_a_key_that_a_shell_would_break_is_refused(tao, tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINYARD_TAO_KEY", "a b; $(touch x)")
    run = tao(DSSD)
    run.convert()
    with pytest.raises(TrainyardError, match=r"model_key \(\$TRAINYARD_TAO_KEY\)") as caught:
        run.train()
    assert "touch" not in str(caught.value)


def test_a_missing_program_is_told_at_once(tao, tmp_path, monkeypatch):
    monkeypatch.setenv("TAO_PATH", "/usr/bin:/bin")
    with pytest.raises(TrainyardError, match=r"program dssd is not there.*5\.0\.0-tf1"):
        tao(DSSD).convert()


def test_the_report_and_index_hold_what_was_measured(tao, tmp_path):
    run = tao(DSSD)
    run.shorten(2)
    run.convert()
    run.train()
    run.evaluate()
    page = (tmp_path / "report.html").read_text()
    for part in ("dssd_resnet18_01", "0.715", "disc", "mAP", "<svg"):
        assert part in page
    index = json.loads((tmp_path / "evaluation" / "index.json").read_text())
    assert index["models"] == {DSSD: ModelBundle.load(tmp_path / "model").fingerprint}
