"""The command lines of TAO's programs, as they are called inside the vendor's images.

One table of forms by framework; nothing here runs anything. In the image there is neither `tao`
nor `tao model` in front of the head: that launcher needs Docker. `--log_file` is never given: it
would take the output away from the process's own, where it is followed.

Confirmed by the vendor's code: all of TensorFlow 1 of 5.x, PyTorch, `gen_trt_engine`. From memory:
`export` of releases before 5.0 with calibration, and TensorFlow 2's `prune`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from components.core.tao.heads import Head
from components.core.tao.key import Key
from components.core.tao.releases import Release

SAFE = re.compile(r"[A-Za-z0-9_@%+=:,./\[\]~-]+")
"""What an argument may hold: the programs put theirs into a shell's command line, unquoted."""

DATA_TYPES = ("fp32", "fp16", "int8")

RECORDS = "tfrecord"
"""Beginning of the names of TFRecord files."""


@dataclass(frozen=True)
class Calibration:
    """What int8 needs: images of the training part, how many, and where the scales are written."""

    images: Path
    cache: Path
    batches: int = 10
    batch_size: int = 8


@dataclass(frozen=True)
class Program:
    """The program of a head in a release."""

    head: Head
    release: Release
    key: Key

    def convert(self, spec: Path, output: Path, results: Path) -> list[str]:
        """Data into records.

        Args:
            spec: rendered.
            output: folder for the records.
            results: folder for `status.json`; releases before 5.0 do not take it.
        """
        words = [self.head.name, "dataset_convert"]
        if self.head.framework == "tf2":
            return [*words, "-e", str(spec), f"results_dir={output}"]
        words += ["-d", str(spec), "-o", str(output / RECORDS)]
        return words if self.release.encrypts else [*words, "-r", str(results)]

    def train(
        self,
        spec: Path,
        results: Path,
        gpus: int,
        *,
        start: Path | None = None,
        epoch: int = 0,
        overrides: Sequence[str] = (),
        amp: bool = False,
    ) -> list[str]:
        """A training, a resumed one or a retraining.

        Args:
            spec: rendered.
            results: folder for checkpoints and `status.json`.
            gpus: how many; they are always the first ones that the process sees.
            start: weights to start from, of heads that take `-m`.
            epoch: the one to go on with, counted from 1; 0 for the first.
            overrides: further `a.b=c`, of heads with YAML.
            amp: mixed precision, of TensorFlow 1.
        """
        words = [self.head.name, "train", "-e", str(spec)]
        if self.head.framework != "tf1":
            return [*words, *self._common(results), *overrides, *self._gpus(gpus, "train")]
        words += ["-r", str(results), *self._key(), *self._gpus(gpus, "train")]
        if start:
            words += ["-m", str(start)]
        if epoch:
            words += ["--initial_epoch", str(epoch)]
        return [*words, "--use_amp"] if amp else words

    def evaluate(self, spec: Path, model: Path, results: Path) -> list[str]:
        """A checkpoint on the validation part, with one GPU."""
        words = [self.head.name, "evaluate", "-e", str(spec)]
        if self.head.framework == "tf1":
            return [*words, "-m", str(model), "-r", str(results), *self._key()]
        one = self._gpus(1, "evaluate")
        return [*words, *self._common(results), f"evaluate.checkpoint={model}", *one]

    def prune(
        self, spec: Path, model: Path, output: Path, results: Path, threshold: float
    ) -> list[str]:
        """A smaller network, to be retrained.

        Args:
            spec: rendered.
            model: checkpoint.
            output: file to write; TensorFlow 2 chooses the name itself, in `results`.
            results: folder for `status.json`.
            threshold: share of a layer's largest norm below which a filter goes.
        """
        words = [self.head.name, "prune"]
        if self.head.framework == "tf2":
            values = [f"prune.checkpoint={model}", f"prune.threshold={threshold:g}"]
            return [*words, "-e", str(spec), *self._common(results), *values]
        words += ["-m", str(model), "-o", str(output), "-pth", f"{threshold:g}", *self._key()]
        return words if self.release.encrypts else [*words, "--results_dir", str(results)]

    def export(
        self,
        spec: Path,
        model: Path,
        output: Path,
        results: Path,
        *,
        data_type: str = "fp32",
        calibration: Calibration | None = None,
        engine: Path | None = None,
        max_batch_size: int = 8,
    ) -> list[str]:
        """A checkpoint as ONNX, or as .etlt before 5.0.

        Args:
            spec: rendered.
            model: checkpoint.
            output: file to write.
            results: folder for `status.json`.
            data_type: of DATA_TYPES; matters here only where the release `quantises`.
            calibration: for int8, likewise.
            engine: TensorRT engine to build at the same time, likewise.
            max_batch_size: of the engine.
        """
        words = [self.head.name, "export"]
        if self.head.framework != "tf1":
            places = [f"export.checkpoint={model}", f"export.onnx_file={output}"]
            return [*words, "-e", str(spec), *self._common(results), *places]
        words += ["-m", str(model), "-o", str(output), "-e", str(spec), *self._key()]
        words.append("--gen_ds_config")
        if not self.release.quantises:
            return [*words, "--results_dir", str(results)]
        words += ["--data_type", data_type, *_calibrated(calibration)]
        if engine:
            words += ["--engine_file", str(engine), "--max_batch_size", str(max_batch_size)]
        return words

    def engine(
        self,
        spec: Path,
        model: Path,
        output: Path,
        results: Path,
        *,
        data_type: str = "fp32",
        calibration: Calibration | None = None,
        max_batch_size: int = 8,
    ) -> list[str]:
        """ONNX as a TensorRT engine, in the deploy image.

        Args:
            spec: rendered.
            model: the ONNX or .etlt file.
            output: engine to write.
            results: folder for `status.json`.
            data_type: of DATA_TYPES.
            calibration: for int8.
            max_batch_size: largest batch that the engine takes; it is made for this one.
        """
        words = [self.head.name, "gen_trt_engine", "-e", str(spec)]
        if self.head.framework == "tf1":
            words += ["-m", str(model), "-r", str(results), *self._key(), "--data_type", data_type]
            words += ["--engine_file", str(output), "--min_batch_size", "1"]
            words += ["--opt_batch_size", str(max_batch_size)]
            return [*words, "--max_batch_size", str(max_batch_size), *_calibrated(calibration)]
        place = "gen_trt_engine.tensorrt"
        values = [
            f"gen_trt_engine.onnx_file={model}",
            f"gen_trt_engine.trt_engine={output}",
            f"{place}.data_type={data_type}",
            f"{place}.min_batch_size=1",
            f"{place}.opt_batch_size={max_batch_size}",
            f"{place}.max_batch_size={max_batch_size}",
        ]
        if calibration:
            many = self.head.framework == "pyt"
            images = f"[{calibration.images}]" if many else f"{calibration.images}"
            values += [
                f"{place}.calibration.cal_image_dir={images}",
                f"{place}.calibration.cal_cache_file={calibration.cache}",
                f"{place}.calibration.cal_batch_size={calibration.batch_size}",
                f"{place}.calibration.cal_batches={calibration.batches}",
            ]
        return [*words, *self._common(results), *values]

    def _key(self) -> list[str]:
        return ["-k", self.key.reveal()] if self.key else []

    def _common(self, results: Path) -> list[str]:
        key = [f"encryption_key={self.key.reveal()}"] if self.key else []
        return [f"results_dir={results}", *key]

    def _gpus(self, count: int, task: str) -> list[str]:
        """Which GPUs; behind everything without a dash, which `--gpu_index` would take as well."""
        numbers = [str(number) for number in range(count)]
        if self.head.framework == "pyt":
            return [f"{task}.num_gpus={count}", f"{task}.gpu_ids=[{','.join(numbers)}]"]
        return ["--gpus", str(count), "--gpu_index", *numbers]


def _calibrated(calibration: Calibration | None) -> list[str]:
    if calibration is None:
        return []
    return [
        *("--cal_image_dir", str(calibration.images)),
        *("--cal_cache_file", str(calibration.cache)),
        *("--batch_size", str(calibration.batch_size)),
        *("--batches", str(calibration.batches)),
    ]


def unsafe(command: Sequence[str], key: Key) -> list[str]:
    """Arguments that would not survive the shell between a program of TAO and its script."""
    told = []
    for word in command:
        if SAFE.fullmatch(word):
            continue
        if key and key.reveal() in word:
            told.append(
                f"model_key ({key}): it holds characters that TAO's programs hand to a shell "
                "unquoted; accepted are letters, digits and _@%+=:,./~-"
            )
        else:
            wrong = "".join(sorted({c for c in word if not SAFE.fullmatch(c)}))
            told.append(
                f"{word!r}: TAO's programs hand this to a shell unquoted, which {wrong!r} does not "
                "survive; rename the file or folder"
            )
    return list(dict.fromkeys(told))


def shown(command: Sequence[str], key: Key) -> str:
    """A command line for people and files: the key's name stands for the key."""
    return key.hidden(" ".join(command))
