"""The command lines of TAO's programs by head and release, and what of them a shell would break."""

from pathlib import Path

import pytest

from components.core.tao.commands import Calibration, Program, shown, unsafe
from components.core.tao.heads import HEADS, head_problem, release_for
from components.core.tao.key import Key
from components.core.tao.releases import DEFAULTS, RELEASES, TAGS, release_of

SPEC, RESULTS, MODEL = Path("/w/train.txt"), Path("/w/results"), Path("/w/m.hdf5")


def program(head: str, tag: str = "", key: str = "tlt_encode") -> Program:
    release, problem = release_for(HEADS[head], tag)
    assert release, problem
    return Program(HEADS[head], release, Key(key))


def words(command: list[str]) -> str:
    return " ".join(command)


def test_tensorflow_1_of_release_5_is_called_as_documented():
    dssd = program("dssd", "5.0.0-tf1.15.5")
    assert words(dssd.convert(Path("/w/convert.txt"), Path("/w/data"), RESULTS)) == (
        "dssd dataset_convert -d /w/convert.txt -o /w/data/tfrecord -r /w/results"
    )
    assert words(dssd.train(SPEC, RESULTS, 2, start=Path("/p/resnet_18.hdf5"))) == (
        "dssd train -e /w/train.txt -r /w/results -k tlt_encode --gpus 2 --gpu_index 0 1 "
        "-m /p/resnet_18.hdf5"
    )
    assert words(dssd.evaluate(SPEC, MODEL, RESULTS)) == (
        "dssd evaluate -e /w/train.txt -m /w/m.hdf5 -r /w/results -k tlt_encode"
    )
    assert words(dssd.prune(SPEC, MODEL, Path("/w/p.hdf5"), RESULTS, 0.5)) == (
        "dssd prune -m /w/m.hdf5 -o /w/p.hdf5 -pth 0.5 -k tlt_encode --results_dir /w/results"
    )
    exported = dssd.export(SPEC, MODEL, Path("/w/m.onnx"), RESULTS, data_type="fp16")
    assert words(exported) == (
        "dssd export -m /w/m.hdf5 -o /w/m.onnx -e /w/train.txt -k tlt_encode --gen_ds_config "
        "--results_dir /w/results"
    )


def test_before_release_5_the_export_takes_data_type_calibration_and_engine():
    old = program("detectnet_v2", "4.0.0-tf1.15.5")
    assert words(old.convert(Path("/w/c.txt"), Path("/w/data"), RESULTS)) == (
        "detectnet_v2 dataset_convert -d /w/c.txt -o /w/data/tfrecord"
    )
    calibration = Calibration(Path("/w/images"), Path("/w/cal.bin"), batches=4, batch_size=2)
    exported = old.export(
        SPEC,
        Path("/w/m.tlt"),
        Path("/w/m.etlt"),
        RESULTS,
        data_type="int8",
        calibration=calibration,
        engine=Path("/w/m.engine"),
    )
    assert words(exported) == (
        "detectnet_v2 export -m /w/m.tlt -o /w/m.etlt -e /w/train.txt -k tlt_encode "
        "--gen_ds_config --data_type int8 --cal_image_dir /w/images --cal_cache_file /w/cal.bin "
        "--batch_size 2 --batches 4 --engine_file /w/m.engine --max_batch_size 8"
    )


def test_an_engine_is_built_in_the_deploy_image():
    calibration = Calibration(Path("/w/images"), Path("/w/cal.bin"), batches=4, batch_size=2)
    built = program("ssd").engine(
        SPEC,
        Path("/w/m.onnx"),
        Path("/w/model.plan"),
        RESULTS,
        data_type="int8",
        calibration=calibration,
        max_batch_size=4,
    )
    assert words(built) == (
        "ssd gen_trt_engine -e /w/train.txt -m /w/m.onnx -r /w/results -k tlt_encode --data_type "
        "int8 --engine_file /w/model.plan --min_batch_size 1 --opt_batch_size 4 --max_batch_size 4 "
        "--cal_image_dir /w/images --cal_cache_file /w/cal.bin --batch_size 2 --batches 4"
    )


def test_pytorch_heads_get_overrides_and_no_key_where_there_is_none():
    dino = program("dino", "5.5.0-pyt", key="")
    spec = Path("/w/train.yaml")
    resume = ["train.resume_training_checkpoint_path=/w/model_epoch_003.pth"]
    assert words(dino.train(spec, RESULTS, 2, overrides=resume)) == (
        "dino train -e /w/train.yaml results_dir=/w/results "
        "train.resume_training_checkpoint_path=/w/model_epoch_003.pth "
        "train.num_gpus=2 train.gpu_ids=[0,1]"
    )
    assert words(dino.evaluate(spec, Path("/w/m.pth"), RESULTS)) == (
        "dino evaluate -e /w/train.yaml results_dir=/w/results evaluate.checkpoint=/w/m.pth "
        "evaluate.num_gpus=1 evaluate.gpu_ids=[0]"
    )
    assert words(dino.export(spec, Path("/w/m.pth"), Path("/w/m.onnx"), RESULTS)) == (
        "dino export -e /w/train.yaml results_dir=/w/results export.checkpoint=/w/m.pth "
        "export.onnx_file=/w/m.onnx"
    )
    calibration = Calibration(Path("/w/images"), Path("/w/cal.bin"), batches=4, batch_size=2)
    engine = dino.engine(
        spec,
        Path("/w/m.onnx"),
        Path("/w/model.plan"),
        RESULTS,
        data_type="int8",
        calibration=calibration,
        max_batch_size=4,
    )
    assert "gen_trt_engine.tensorrt.calibration.cal_image_dir=[/w/images]" in engine
    assert "gen_trt_engine.tensorrt.data_type=int8" in engine


def test_tensorflow_2_takes_gpus_behind_everything_that_gpu_index_would_swallow():
    command = program("efficientdet_tf2").train(Path("/w/train.yaml"), RESULTS, 2)
    assert words(command) == (
        "efficientdet_tf2 train -e /w/train.yaml results_dir=/w/results "
        "encryption_key=tlt_encode --gpus 2 --gpu_index 0 1"
    )


@pytest.mark.parametrize("head", HEADS)
def test_every_head_has_commands_for_its_tasks_in_its_default_release(head):
    made = program(head)
    spec = Path("/w/train.yaml")
    commands = [
        made.convert(spec, Path("/w/data"), RESULTS),
        made.train(spec, RESULTS, 1),
        made.evaluate(spec, MODEL, RESULTS),
        made.export(spec, MODEL, Path("/w/m.onnx"), RESULTS),
        made.engine(spec, Path("/w/m.onnx"), Path("/w/model.plan"), RESULTS),
    ]
    assert {command[0] for command in commands} == {head}
    assert not any(unsafe(command, made.key) for command in commands)
    assert not any("log_file" in words(command) for command in commands)


def test_what_a_shell_would_break_is_refused_without_showing_the_key():
    made = program("dssd", key="secret; rm -rf x")
    command = made.train(Path("/w/my specs/train.txt"), RESULTS, 1)
    told = unsafe(command, made.key)
    assert len(told) == 2
    assert "my specs" in told[0]
    assert "model_key ($TRAINYARD_TAO_KEY)" in told[1]
    assert "secret" not in " ".join(told)
    assert "-k $TRAINYARD_TAO_KEY" in shown(command, made.key)
    assert "secret" not in shown(command, made.key)


@pytest.mark.parametrize("head", ["detectnet", "yolo_v9", "efficientdet", ""])
def test_an_unknown_head_is_told_with_those_there_are(head):
    told = head_problem(head)
    assert repr(head) in told
    assert all(name in told for name in HEADS)


def test_releases_are_told_apart_by_their_tags():
    assert set(RELEASES) == set(TAGS)
    assert all(release_of(tag)[0] for tag in DEFAULTS.values())
    full, _ = release_of("nvcr.io/nvidia/tao/tao-toolkit:v3.22.05-tf1.15.5-py3")
    assert full
    assert (full.version, full.framework, full.encrypts, full.quantises) == (
        (3, 22, 5),
        "tf1",
        True,
        True,
    )
    new, _ = release_of("6.25.7-pyt")
    assert new
    assert (new.version, new.encrypts) == ((6, 25, 7), False)


@pytest.mark.parametrize(
    ("head", "tag", "told"),
    [
        ("dssd", "latest", "accepted are tags of"),
        ("dssd", "5.5.0-tf1.15.5", "ended with 5.3.0"),
        ("efficientdet_tf2", "6.25.9-tf2", "ended with 6.0.0"),
        ("dssd", "5.5.0-pyt", "use 5.0.0-tf1.15.5"),
        ("dino", "5.0.0-tf1.15.5", "use 6.25.7-pyt"),
        ("rtdetr", "5.5.0-pyt", "came with 6.0"),
    ],
)
def test_a_release_that_cannot_run_a_head_is_told_with_one_that_can(head, tag, told):
    release, problem = release_for(HEADS[head], tag)
    assert release is None
    assert told in problem
    assert tag in problem
