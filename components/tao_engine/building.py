"""The work of the stage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from components.core import files
from components.core.artifacts.model_bundle import ModelBundle
from components.core.errors import InputError, ProblemsError, TrainyardError
from components.core.stage import Job
from components.core.tao import bundles, exporting, process, status
from components.core.tao.calibration import calibration
from components.core.tao.commands import shown
from components.core.tao.exporting import ENGINE, NAMES, ONNX, Exported
from components.core.tao.process import program_problem
from components.core.tao.releases import DEFAULTS, release_of
from components.core.tao.releases import NAMES as FRAMEWORKS
from components.core.tao.task import planned, problems_of
from components.tao_engine.stage import EngineSettings


def problems(settings: EngineSettings) -> list[TrainyardError]:
    """Everything that keeps it from being started."""
    found = problems_of(settings.project, settings.experiment, "", ["engine"], program=False)
    tag = settings.deploy_release or DEFAULTS["deploy"]
    release, problem = release_of(tag)
    if release and release.framework != "deploy":
        problem = (
            f"deploy_release: {tag} holds {FRAMEWORKS[release.framework]} and builds no engines; "
            f"use {DEFAULTS['deploy']}"
        )
    if problem:
        found.append(InputError(problem))
    elif not found:
        task = planned(settings.project, settings.experiment, "", ["engine"], program=False)
        if missing := program_problem(task.head.name, tag):
            found.append(InputError(missing))
    return found


def unneeded(settings: EngineSettings, exported: Path, data_type: str) -> str:
    """Why the exported model is handed on as it is; '' where an engine is to be built."""
    if settings.build_engine == "never":
        return "build_engine is never"
    if settings.build_engine == "always":
        return ""
    bundle = ModelBundle.load(exported)
    if ENGINE in bundle.formats:
        return "the export has made one"
    if bundle.architecture.get("plugins") or data_type in ("fp16", "int8"):
        return ""
    return "Triton can serve the ONNX file"


def run(settings: EngineSettings, job: Job) -> None:
    """Builds; see `stage.build`."""
    task = planned(
        settings.project, settings.experiment, "", ["engine"], program=False, report=job.report
    )
    place = job.inputs["exported"]
    data_type = settings.export_type or task.experiment.export_type
    if reason := unneeded(settings, place, data_type):
        job.report.message(f"no engine is built: {reason}")
        files.publish(place, job.outputs["engine"])
        return
    if settings.build_engine == "auto" and (wrong := problems(settings)):
        raise ProblemsError(wrong, "tao_engine")
    release, _ = release_of(settings.deploy_release or DEFAULTS["deploy"])
    assert release
    records = job.inputs["records"]
    bundles.fitting_data(records, task)
    bundle = ModelBundle.load(place)
    onnx = bundle.file(place, ONNX)
    folder = job.work / "engine"
    files.remove(folder)
    folder.mkdir()
    sizes = settings.calibration_batches, settings.calibration_batch_size
    scales = calibration(task, records, folder, *sizes) if data_type == "int8" else None
    rendered = task.rendered("engine", records)
    spec = folder / rendered.source.name
    files.write_text(spec, rendered.text)
    command = replace(task.program, release=release).engine(
        spec,
        onnx,
        folder / NAMES[ENGINE],
        folder,
        data_type=data_type,
        calibration=scales,
        max_batch_size=settings.max_batch_size,
    )
    process.run(
        command,
        key=task.key,
        log=folder / "engine.log",
        report=job.report,
        folder=folder,
        more=task.environment,
    )
    if failed := status.failure(status.lines_of(status.file_in(folder))):
        raise TrainyardError(f"{task.head.name} gen_trt_engine says: {task.key.hidden(failed)}")
    engine = folder / NAMES[ENGINE]
    if not engine.is_file() or not engine.stat().st_size:
        raise TrainyardError(
            f"{task.head.name} gen_trt_engine ended well and wrote no {engine.name}"
        )
    exported = Exported(
        {ENGINE: engine, ONNX: onnx},
        bundle.inputs,
        bundle.outputs,
        list(bundle.architecture.get("plugins", [])),
        data_type,
        settings.max_batch_size,
        scales,
        tuple(sorted(place.glob("nvinfer*"))),
    )
    details = {"engine_command": shown(command, task.key), "engine_release": release.tag}
    exporting.write(job.outputs["engine"], bundle, exported, details)
    job.metadata["engine"] = {"data_type": data_type, "max_batch_size": settings.max_batch_size}
