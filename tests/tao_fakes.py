"""Programs that stand for those of NVIDIA's images, which cannot run here.

They are real processes with the vendor's own arguments (argparse, as in the back ends' code): they
read the specification, check the paths in it, and write records, checkpoints, `status.json`, output
and exit codes as the vendor's do. What they compute is nothing. Everything up to the call of such a
program is thus real in the tests; that the vendor's programs do the same is not shown by them.

`install(folder)` writes them; put `folder` in TAO_PATH. They read FAKE_TAO_… variables:
FAKE_TAO_CALLS (file that every call is appended to), FAKE_TAO_SECONDS (of an epoch),
FAKE_TAO_FAIL_AT (epoch), FAKE_TAO_BEST (epoch), FAKE_TAO_QUIET_FAILURE (FAIL is told, exit code 0).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from components.core.tao.heads import HEADS

SCRIPT = r"""#!{python}
import argparse, glob, json, os, re, struct, sys, time

HEAD = os.path.basename(sys.argv[0])
FRAMEWORK = {frameworks}[HEAD]
RELEASE = os.environ.get("FAKE_TAO_RELEASE", "")
BEST = int(os.environ.get("FAKE_TAO_BEST", "2"))


def parser():
    top = argparse.ArgumentParser(HEAD)
    if FRAMEWORK == "tf1":
        top.add_argument("--gpus", type=int, default=1)
        top.add_argument("--gpu_index", type=int, nargs="+")
        top.add_argument("--use_amp", action="store_true")
        top.add_argument("--log_file")
        tasks = top.add_subparsers(dest="task")

        def task(name, *options):
            sub = tasks.add_parser(name, parents=[top], add_help=False, conflict_handler="resolve")
            for option in options:
                sub.add_argument(*option[:-1], **option[-1])

        need, free = dict(required=True), dict(default=None)
        key, results = ("-k", "--key", dict(default="")), ("-r", "--results_dir", need)
        task("dataset_convert", ("-d", need), ("-o", need), ("-r", free))
        start = [("-m", free), ("--initial_epoch", dict(type=int, default=1))]
        task("train", ("-e", need), results, key, *(start if HEAD in ("ssd", "dssd") else []))
        task("evaluate", ("-e", need), ("-m", need), key, ("-r", free))
        task("prune", ("-m", need), ("-o", need), key, ("-pth", dict(type=float)), ("--results_dir", free))
        int8 = [("--cal_image_dir", free), ("--cal_cache_file", free), ("--batches", dict(type=int)),
                ("--batch_size", dict(type=int)), ("--max_batch_size", dict(type=int)),
                ("--data_type", dict(choices=["fp32", "fp16", "int8"], default="fp32")),
                ("--engine_file", free)]
        task("export", ("-m", need), ("-o", need), ("-e", free), key, ("--results_dir", free),
             ("--gen_ds_config", dict(action="store_true")), *int8)
        task("gen_trt_engine", ("-m", need), ("-e", need), results, key, *int8,
             ("--min_batch_size", dict(type=int)), ("--opt_batch_size", dict(type=int)))
        return top
    top.add_argument("task")
    top.add_argument("-e", required=True)
    if FRAMEWORK == "tf2":
        top.add_argument("--gpus", type=int, default=1)
        top.add_argument("--gpu_index", type=int, nargs="+")
    return top


def status(results, **values):
    os.makedirs(results, exist_ok=True)
    with open(os.path.join(results, "status.json"), "a") as file:
        base = dict(date="1/2/2024", time="3:4:5", status="RUNNING", verbosity="INFO")
        file.write(json.dumps(dict(base, **values)) + "\n")


def weights(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    body = text.encode().ljust(512, b"\0")
    if path.endswith(".hdf5"):
        head = b"\x89HDF\r\n\x1a\n" + bytes([0, 0, 0, 0, 0, 8, 8, 0]) + struct.pack("<HHI", 4, 16, 0)
        head += struct.pack("<QQQQ", 0, 2**64 - 1, 96 + len(body), 2**64 - 1)
        body = head.ljust(96, b"\0") + body
    with open(path, "wb") as file:
        file.write(body)


def graph(path, height, width):
    import onnx
    from onnx import TensorProto, helper

    names = {graphs}[HEAD]
    image = helper.make_tensor_value_info(names[0], TensorProto.FLOAT, ["N", 3, height, width])
    outs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape]) for name, shape in names[1]]
    operator = names[2]
    if operator:
        nodes = [helper.make_node(operator, [names[0]], [name for name, _ in names[1]])]
    else:
        nodes = [helper.make_node("GlobalAveragePool", [names[0]], ["mean"])]
        consts = []
        for place, (name, shape) in enumerate(names[1]):
            consts.append(helper.make_tensor(f"w{{place}}", TensorProto.FLOAT, [shape[0], 3, 1, 1], [0.1] * 3 * shape[0]))
            nodes.append(helper.make_node("Conv", ["mean", f"w{{place}}"], [name]))
    made = helper.make_graph(nodes, HEAD, [image], outs, [] if operator else consts)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 12)])
    model.ir_version = 7
    onnx.save(model, path)


def number(text, pattern, default):
    match = re.search(pattern, text)
    return int(match.group(1)) if match else default


def main():
    args, rest = parser().parse_known_args()
    values = dict(word.split("=", 1) for word in rest if "=" in word)
    if FRAMEWORK == "tf1" and rest:
        sys.exit("unrecognized arguments: %s" % rest)
    if os.environ.get("FAKE_TAO_CALLS"):
        with open(os.environ["FAKE_TAO_CALLS"], "a") as file:
            shown = {{k: v for k, v in os.environ.items() if "TRAINYARD" in k or k in ("PATH", "PYTHONPATH", "TELEMETRY_OPT_OUT")}}
            file.write(json.dumps(dict(command=[HEAD, *sys.argv[1:]], environment=shown)) + "\n")
    spec = getattr(args, "e", None) or getattr(args, "d", None)
    text = open(spec).read() if spec else ""
    results = getattr(args, "results_dir", None) or getattr(args, "r", None) or values.get("results_dir", ".")
    if FRAMEWORK != "tf1" and args.task != "dataset_convert":
        results = os.path.join(results, args.task)
    print("INFO: %s %s" % (HEAD, args.task), flush=True)
    globals()[args.task](args, values, text, results)
    quiet = os.environ.get("FAKE_TAO_QUIET_FAILURE")
    print("Execution status: %s" % ("FAIL" if quiet else "PASS"), flush=True)


def dataset_convert(args, values, text, results):
    if FRAMEWORK == "tf2":
        image_dir = re.search(r"image_dir:\s*['\"]?([^'\"\s]+)", text).group(1)
        prefix = os.path.join(values["results_dir"], "train")
        names = sorted(os.listdir(image_dir))
    else:
        root = re.search(r'root_directory_path:\s*"([^"]+)"', text).group(1)
        folder = re.search(r'image_dir_name:\s*"([^"]+)"', text).group(1)
        names, prefix = sorted(os.listdir(os.path.join(root, folder))), args.o
    for fold in range(2):
        with open("%s-fold-00%d-of-002-shard-00000-of-00001" % (prefix, fold), "w") as file:
            file.write("\n".join(names[fold::2]))
    print("Writing %d records" % len(names))
    if getattr(args, "r", None):
        status(args.r, status="SUCCESS", message="Dataset convert finished successfully.")


def train(args, values, text, results):
    last = number(text, r"num_epochs:\s*(\d+)", 3)
    first = 1
    if getattr(args, "initial_epoch", 1) > 1:
        assert os.path.isfile(args.m), args.m
        first = args.initial_epoch
    resumed = re.search(r'(?:resume_model_path|resume_from_model):\s*"([^"]+)"', text)
    path = resumed and resumed.group(1) or values.get("train.resume_training_checkpoint_path")
    if path:
        assert os.path.isfile(path), path
        first = number(os.path.basename(path), r"epoch[_.-]?(\d+)", 0) + (2 if FRAMEWORK == "pyt" else 1)
    zips = glob.glob(os.path.join(results, "model.epoch-*.ckzip"))
    if HEAD == "detectnet_v2" and zips:
        first = max(number(name, r"epoch-(\d+)", 0) for name in zips) + 1
    if HEAD == "efficientdet_tf2":
        done = glob.glob(os.path.join(results, "*.tlt"))
        first = max([number(name, r"_(\d+)\.tlt", 0) for name in done], default=0) + 1
    suffix = os.environ.get("FAKE_TAO_SUFFIX", "hdf5")
    status(results, status="STARTED", message="Starting training.")
    for epoch in range(first, last + 1):
        for step in range(3):
            sys.stdout.write("\r%d/3 [=====>]" % step)
        time.sleep(float(os.environ.get("FAKE_TAO_SECONDS", "0")))
        if epoch == int(os.environ.get("FAKE_TAO_FAIL_AT", "0")):
            status(results, status="FAILURE", message="Ran out of GPU memory, please lower the batch size")
            print("\nValueError: broken in epoch %d" % epoch, flush=True)
            print("the key was %s" % (getattr(args, "key", "") or values.get("encryption_key", "")), flush=True)
            sys.exit(1)
        print("\nEpoch %d/%d done" % (epoch, last), flush=True)
        name = {{
            "detectnet_v2": "model.epoch-%d.%s" % (epoch, suffix),
            "efficientdet_tf2": "efficientdet-d0_%03d.tlt" % epoch,
        }}.get(HEAD, "weights/%s_resnet18_epoch_%03d.%s" % (HEAD, epoch, suffix))
        if FRAMEWORK == "pyt":
            name = "model_epoch_%03d.pth" % (epoch - 1)
        weights(os.path.join(results, name), "%s epoch %d" % (HEAD, epoch))
        if HEAD == "detectnet_v2":
            weights(os.path.join(results, "model.epoch-%d.ckzip" % epoch), "state %d" % epoch)
        score = 0.9 - 0.1 * abs(epoch - BEST)
        loss = str(1.0 / epoch)
        status(results, epoch=epoch, max_epoch=last, message="Training loop in progress",
               graphical={{"loss": loss, "mean average precision": str(score)}},
               kpi={{"mean average precision": str(score)}})
    if HEAD == "detectnet_v2":
        weights(os.path.join(results, "weights", "model.%s" % suffix), "final")
    status(results, status="SUCCESS", message="Training finished successfully.")


def evaluate(args, values, text, results):
    model = getattr(args, "m", None) or values["evaluate.checkpoint"]
    assert os.path.isfile(model), model
    names = sorted(set(re.findall(r'target_class_mapping \{{[^}}]*value: "([^"]+)"', text))) or ["one"]
    if HEAD == "detectnet_v2":
        print("Mean average_precision (in %): 71.5\n\nclass name      average precision (in %)")
        print("------------  --------------------------")
        print("\n".join("%-14s%.1f" % (name, 70.5 + i) for i, name in enumerate(names)), end="\n\n")
        status(results, status="SUCCESS", message="Evaluation finished successfully.")
        return
    print("*******************************")
    for i, name in enumerate(names):
        print("%-14s%-6s%s" % (name, "AP", 0.705 + 0.01 * i))
    print("              mAP   0.715\n*******************************")
    status(results, status="SUCCESS", kpi={{"mAP": 0.715}}, message="Evaluation finished successfully.")


def prune(args, values, text, results):
    model = getattr(args, "m", None) or values["prune.checkpoint"]
    assert os.path.isfile(model), model
    output = getattr(args, "o", None) or os.path.join(results, "model_th=0.5.tlt")
    weights(output, "pruned")
    print("Pruning ratio (pruned model / original model): 0.35")
    status(results, status="SUCCESS", kpi={{"pruning_ratio": 0.35}}, message="Pruning finished successfully.")


def calibrate(images, cache):
    folder = images.strip("[]")
    found = os.listdir(folder)
    assert found, folder
    with open(cache, "w") as file:
        file.write("TRT-8000-EntropyCalibration2\n%d images\n" % len(found))


def export(args, values, text, results):
    model = getattr(args, "m", None) or values["export.checkpoint"]
    output = getattr(args, "o", None) or values["export.onnx_file"]
    assert os.path.isfile(model), model
    assert not os.path.exists(output), output
    height = number(text, r"(?:output_image_height|output_height|input_height):\s*(\d+)", 0)
    width = number(text, r"(?:output_image_width|output_width|input_width):\s*(\d+)", 0)
    if output.endswith(".etlt"):
        with open(output, "w") as file:
            file.write("encrypted")
        if args.data_type == "int8":
            calibrate(args.cal_image_dir, args.cal_cache_file)
        if args.engine_file:
            with open(args.engine_file, "w") as file:
                file.write("engine %s" % args.data_type)
        return
    graph(output, height, width)
    if FRAMEWORK == "tf1":
        for name, content in (("labels.txt", "circle\nsquare\n"), ("nvinfer_config.txt", "net-scale-factor=1.0\n")):
            with open(os.path.join(os.path.dirname(output), name), "w") as file:
                file.write(content)


def gen_trt_engine(args, values, text, results):
    place = "gen_trt_engine."
    model = getattr(args, "m", None) or values[place + "onnx_file"]
    output = getattr(args, "engine_file", None) or values[place + "trt_engine"]
    kind = getattr(args, "data_type", None) or values[place + "tensorrt.data_type"]
    assert os.path.isfile(model), model
    if kind == "int8":
        deep = place + "tensorrt.calibration."
        calibrate(getattr(args, "cal_image_dir", None) or values[deep + "cal_image_dir"],
                  getattr(args, "cal_cache_file", None) or values[deep + "cal_cache_file"])
    with open(output, "w") as file:
        file.write("engine %s" % kind)


if __name__ == "__main__":
    main()
"""

NMS = ("Input", [("NMS", [1, 200, 7]), ("NMS_1", [1, 1, 1])], "NMSDynamic_TRT")
BATCHED = (
    "Input",
    [
        ("BatchedNMS", [1]),
        ("BatchedNMS_1", [200, 4]),
        ("BatchedNMS_2", [200]),
        ("BatchedNMS_3", [200]),
    ],
    "BatchedNMSDynamic_TRT",
)
QUERIES = [("pred_logits", [300, 1, 1]), ("pred_boxes", [300, 1, 1])]
GRAPHS: dict[str, tuple[str, list[tuple[str, list[int]]], str]] = {
    "detectnet_v2": (
        "input_1",
        [("output_cov/Sigmoid", [2, 1, 1]), ("output_bbox/BiasAdd", [8, 1, 1])],
        "",
    ),
    **dict.fromkeys(("ssd", "dssd", "retinanet"), NMS),
    **dict.fromkeys(("yolo_v3", "yolo_v4", "yolo_v4_tiny"), BATCHED),
    "faster_rcnn": ("input_image", NMS[1], "NMSDynamic_TRT"),
    "efficientdet_tf2": ("input", NMS[1], "EfficientNMS_TRT"),
    "dino": ("inputs", QUERIES, "MultiscaleDeformableAttnPlugin_TRT"),
    "deformable_detr": ("inputs", QUERIES, "MultiscaleDeformableAttnPlugin_TRT"),
    "rtdetr": ("inputs", QUERIES, ""),
}
"""Head → input, outputs and TensorRT operator of its ONNX file."""


def install(folder: Path) -> Path:
    """Writes a program for every head into `folder`; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    text = SCRIPT.format(
        python=sys.executable,
        frameworks=repr({name: head.framework for name, head in HEADS.items()}),
        graphs=repr(GRAPHS),
    )
    for name in HEADS:
        path = folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
    return folder


def calls(path: Path) -> list[dict[str, Any]]:
    """The calls that FAKE_TAO_CALLS has: `command`, and some of the `environment`."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
