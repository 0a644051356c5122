"""What stands for a program of NVIDIA's images in tests; see `tao_fakes`, which installs it.

It is started as `<python> tao_program.py <head> <framework> <graph as JSON> <arguments>` and knows
nothing of our code. Arguments are those of the vendor's parsers.
"""

import argparse
import glob
import json
import os
import re
import struct
import sys
import time
import zipfile

HEAD, FRAMEWORK, GRAPH = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
WORDS = sys.argv[4:]
BEST = int(os.environ.get("FAKE_TAO_BEST", "2"))
NEED, FREE = {"required": True}, {"default": None}


def variable(name, default=""):
    return os.environ.get(f"FAKE_TAO_{name}", default)


def parser():
    if FRAMEWORK != "tf1":
        top = argparse.ArgumentParser(HEAD)
        top.add_argument("task")
        top.add_argument("-e", required=True)
        if FRAMEWORK == "tf2":
            top.add_argument("--gpus", type=int, default=1)
            top.add_argument("--gpu_index", type=int, nargs="+")
        return top
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--gpus", type=int, default=1)
    shared.add_argument("--gpu_index", type=int, nargs="+")
    shared.add_argument("--use_amp", action="store_true")
    shared.add_argument("--log_file")
    top = argparse.ArgumentParser(HEAD)
    tasks = top.add_subparsers(dest="task", required=True)

    def task(name, *options):
        sub = tasks.add_parser(name, parents=[shared])
        for *flags, form in options:
            sub.add_argument(*flags, **form)

    key = ("-k", "--key", {"default": ""})
    results = ("-r", "--results_dir", FREE)
    whole = {"type": int}
    engine = [
        ("--cal_image_dir", FREE),
        ("--cal_cache_file", FREE),
        ("--batches", whole),
        ("--batch_size", whole),
        ("--max_batch_size", whole),
        ("--data_type", {"choices": ["fp32", "fp16", "int8"], "default": "fp32"}),
        ("--engine_file", FREE),
    ]
    start = [("-m", FREE), ("--initial_epoch", {"type": int, "default": 1})]
    task("dataset_convert", ("-d", NEED), ("-o", NEED), results)
    task("train", ("-e", NEED), results, key, *(start if HEAD in ("ssd", "dssd") else []))
    task("evaluate", ("-e", NEED), ("-m", NEED), key, results)
    threshold = ("-pth", {"type": float})
    task("prune", ("-m", NEED), ("-o", NEED), key, threshold, ("--results_dir", FREE))
    deepstream = ("--gen_ds_config", {"action": "store_true"})
    output = ("--results_dir", FREE)
    task("export", ("-m", NEED), ("-o", NEED), ("-e", FREE), key, output, deepstream, *engine)
    sizes = [("--min_batch_size", whole), ("--opt_batch_size", whole)]
    task("gen_trt_engine", ("-m", NEED), ("-e", NEED), results, key, *engine, *sizes)
    return top


def status(results, **values):
    os.makedirs(results, exist_ok=True)
    base = {"date": "1/2/2024", "time": "3:4:5", "status": "RUNNING", "verbosity": "INFO"}
    with open(os.path.join(results, "status.json"), "a") as file:
        file.write(json.dumps({**base, **values}) + "\n")


def success(results, **values):
    status(results, status="SUCCESS", message="finished successfully.", **values)


def weights(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    body = text.encode().ljust(512, b"\0")
    if path.endswith(".hdf5"):  # a superblock that says where the file ends
        head = b"\x89HDF\r\n\x1a\n" + bytes([0, 0, 0, 0, 0, 8, 8, 0])
        head += struct.pack("<HHI", 4, 16, 0)
        head += struct.pack("<QQQQ", 0, 2**64 - 1, 96 + len(body), 2**64 - 1)
        body = head.ljust(96, b"\0") + body
    with open(path, "wb") as file:
        file.write(body)


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def read(path):
    with open(path) as file:
        return file.read()


def graph(path, height, width):
    import onnx
    from onnx import TensorProto, helper

    name, outputs, operator = GRAPH
    size = ["N", 3, height, width]
    image = helper.make_tensor_value_info(name, TensorProto.FLOAT, size)
    made = [
        helper.make_tensor_value_info(out, TensorProto.FLOAT, ["N", *shape])
        for out, shape in outputs
    ]
    constants = []
    if operator:
        nodes = [helper.make_node(operator, [name], [out for out, _ in outputs])]
    else:
        nodes = [helper.make_node("GlobalAveragePool", [name], ["mean"])]
        for place, (out, shape) in enumerate(outputs):
            values = [0.1] * 3 * shape[0]
            kernel = helper.make_tensor(f"w{place}", TensorProto.FLOAT, [shape[0], 3, 1, 1], values)
            constants.append(kernel)
            nodes.append(helper.make_node("Conv", ["mean", f"w{place}"], [out]))
    whole = helper.make_graph(nodes, HEAD, [image], made, constants)
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 12)])
    model.ir_version = 7
    onnx.save(model, path)


def number(text, pattern, default):
    match = re.search(pattern, text)
    return int(match.group(1)) if match else default


def main():
    args, rest = parser().parse_known_args(WORDS)
    values = dict(word.split("=", 1) for word in rest if "=" in word)
    if FRAMEWORK == "tf1" and rest:
        sys.exit(f"unrecognized arguments: {rest}")
    if calls := variable("CALLS"):
        names = ("PATH", "PYTHONPATH", "TELEMETRY_OPT_OUT")
        seen = {k: v for k, v in os.environ.items() if "TRAINYARD" in k or k in names}
        with open(calls, "a") as file:
            file.write(json.dumps({"command": [HEAD, *WORDS], "environment": seen}) + "\n")
    spec = getattr(args, "e", None) or getattr(args, "d", None)
    text = read(spec) if spec else ""
    results = getattr(args, "results_dir", None) or values.get("results_dir", ".")
    if FRAMEWORK != "tf1" and args.task != "dataset_convert":
        results = os.path.join(results, args.task)
    if key := values.get("encryption_key", ""):
        os.makedirs(results, exist_ok=True)
        write(os.path.join(results, "experiment.yaml"), f"encryption_key: {key}\n")
    print(f"INFO: {HEAD} {args.task}", flush=True)
    TASKS[args.task](args, values, text, results)
    print(f"Execution status: {'FAIL' if variable('QUIET_FAILURE') else 'PASS'}", flush=True)


def dataset_convert(args, values, text, results):
    if FRAMEWORK == "tf2":
        folder = re.search(r"image_dir:\s*['\"]?([^'\"\s]+)", text).group(1)
        prefix = os.path.join(values["results_dir"], "train")
    else:
        root = re.search(r'root_directory_path:\s*"([^"]+)"', text).group(1)
        folder = os.path.join(root, re.search(r'image_dir_name:\s*"([^"]+)"', text).group(1))
        labels = os.path.join(root, re.search(r'label_dir_name:\s*"([^"]+)"', text).group(1))
        for path in glob.glob(os.path.join(labels, "*.txt")):
            for line in read(path).splitlines():
                assert len(line.split()) == 15, line
        prefix = args.o
    names = sorted(os.listdir(folder))
    for fold in range(2):
        records = f"{prefix}-fold-00{fold}-of-002-shard-00000-of-00001"
        write(records, "\n".join(names[fold::2]) + "\n")
    print(f"Writing {len(names)} records")
    if args.results_dir if FRAMEWORK == "tf1" else False:
        success(args.results_dir)


def first_epoch(args, values, text, results):
    if getattr(args, "initial_epoch", 1) > 1:
        assert os.path.isfile(args.m), args.m
        return args.initial_epoch
    field = re.search(r'(?:resume_model_path|resume_from_model):\s*"([^"]+)"', text)
    path = field.group(1) if field else values.get("train.resume_training_checkpoint_path")
    if path:
        assert os.path.isfile(path), path
        after = 2 if FRAMEWORK == "pyt" else 1
        return number(os.path.basename(path), r"epoch[_.-]?(\d+)", 0) + after
    kinds = {"detectnet_v2": ("model.epoch-*.ckzip", r"epoch-(\d+)")}
    kinds["efficientdet_tf2"] = ("*.tlt", r"_(\d+)\.tlt")
    if HEAD not in kinds:
        return 1
    pattern, epoch = kinds[HEAD]
    done = glob.glob(os.path.join(results, pattern))
    for path in done if HEAD == "detectnet_v2" else ():
        assert zipfile.is_zipfile(path), "The last checkpoint file is not saved properly"
    return max([number(name, epoch, 0) for name in done], default=0) + 1


def checkpoint(epoch):
    suffix = variable("SUFFIX", "hdf5")
    if FRAMEWORK == "pyt":
        return f"model_epoch_{epoch - 1:03d}.pth"
    return {
        "detectnet_v2": f"model.epoch-{epoch}.{suffix}",
        "efficientdet_tf2": f"efficientdet-d0_{epoch:03d}.tlt",
        "faster_rcnn": f"frcnn_kitti_resnet18.epoch_{epoch:03d}.{suffix}",
    }.get(HEAD, f"weights/{HEAD}_resnet18_epoch_{epoch:03d}.{suffix}")


def train(args, values, text, results):
    last = number(text, r"num_epochs:\s*(\d+)", 3)
    status(results, status="STARTED", message="Starting training.")
    for epoch in range(first_epoch(args, values, text, results), last + 1):
        for step in range(3):
            sys.stdout.write(f"\r{step}/3 [=====>]")
        time.sleep(float(variable("SECONDS", "0")))
        if epoch == int(variable("FAIL_AT", "0")):
            told = getattr(args, "key", "") or values.get("encryption_key", "")
            status(results, status="FAILURE", message=f"Ran out of GPU memory, key_{told}_")
            if variable("FAIL_QUIETLY"):  # as NVIDIA's program does after an interrupt
                sys.exit(0)
            print(f"\nValueError: broken in epoch {epoch}", flush=True)
            print(f"the key was {told}", flush=True)
            sys.exit(1)
        print(f"\nEpoch {epoch}/{last} done", flush=True)
        weights(os.path.join(results, checkpoint(epoch)), f"{HEAD} epoch {epoch}")
        if HEAD == "detectnet_v2":
            state = os.path.join(results, f"model.epoch-{epoch}.ckzip")
            with zipfile.ZipFile(state, "w") as file:
                file.writestr(f"model.ckpt-{epoch}", f"state {epoch}")
        score = {"mean average precision": str(0.9 - 0.01 * abs(epoch - BEST))}
        shown = {"loss": str(1.0 / epoch), **score}
        told = "Training loop in progress"
        status(results, epoch=epoch, max_epoch=last, message=told, graphical=shown, kpi=score)
    if HEAD == "detectnet_v2":
        name = f"weights/model.{variable('SUFFIX', 'hdf5')}"
        weights(os.path.join(results, name), "final")
    success(results)


def evaluate(args, values, text, results):
    model = getattr(args, "m", None) or values["evaluate.checkpoint"]
    assert os.path.isfile(model), model
    found = re.findall(r'target_class_mapping \{[^}]*value: "([^"]+)"', text)
    names = sorted(set(found)) or ["one"]
    if HEAD == "detectnet_v2":
        print("Mean average_precision (in %): 71.5\n")
        print("class name      average precision (in %)")
        print("------------  --------------------------")
        for place, name in enumerate(names):
            print(f"{name:<14}{70.5 + place}")
        print()
        success(results)
        return
    print("*******************************")
    for place, name in enumerate(names):
        print(f"{name:<14}AP    {0.705 + 0.01 * place}")
    print("              mAP   0.715\n*******************************")
    success(results, kpi={"mAP": 0.715})


def prune(args, values, text, results):
    model = getattr(args, "m", None) or values["prune.checkpoint"]
    assert os.path.isfile(model), model
    output = getattr(args, "o", None) or os.path.join(results, "model_th=0.5.tlt")
    weights(output, "pruned")
    print("Pruning ratio (pruned model / original model): 0.35")
    success(results, kpi={"pruning_ratio": 0.35})


def calibrate(images, cache):
    folder = images.strip("[]")
    found = os.listdir(folder)
    assert found, folder
    write(cache, f"TRT-8000-EntropyCalibration2\n{len(found)} images\n")


def export(args, values, text, results):
    model = getattr(args, "m", None) or values["export.checkpoint"]
    output = getattr(args, "o", None) or values["export.onnx_file"]
    assert os.path.isfile(model), model
    assert not os.path.exists(output), output
    if output.endswith(".etlt"):
        write(output, "encrypted")
        if args.data_type == "int8":
            calibrate(args.cal_image_dir, args.cal_cache_file)
        if args.engine_file:
            write(args.engine_file, f"engine {args.data_type}")
        return
    height = number(text, r"(?:output_image_height|output_height|input_height):\s*(\d+)", 0)
    width = number(text, r"(?:output_image_width|output_width|input_width):\s*(\d+)", 0)
    graph(output, height, width)
    if FRAMEWORK == "tf1":
        told = f"net-scale-factor=1\ntlt-model-key={args.key}\n"
        write(os.path.join(os.path.dirname(output), "nvinfer_config.txt"), told)


def gen_trt_engine(args, values, text, results):
    place = "gen_trt_engine."
    model = getattr(args, "m", None) or values[place + "onnx_file"]
    output = getattr(args, "engine_file", None) or values[place + "trt_engine"]
    kind = getattr(args, "data_type", None) or values[place + "tensorrt.data_type"]
    assert os.path.isfile(model), model
    if kind == "int8":
        deep = place + "tensorrt.calibration."
        images = getattr(args, "cal_image_dir", None) or values[deep + "cal_image_dir"]
        cache = getattr(args, "cal_cache_file", None) or values[deep + "cal_cache_file"]
        calibrate(images, cache)
    write(output, f"engine {kind}")


TASKS = {
    "dataset_convert": dataset_convert,
    "train": train,
    "evaluate": evaluate,
    "prune": prune,
    "export": export,
    "gen_trt_engine": gen_trt_engine,
}

if __name__ == "__main__":
    main()
