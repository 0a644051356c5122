"""Pipelines compiled with options: GPUs in the form, storage, images, names of versions."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from trainyard_process import REPOSITORY

from components.core.errors import SettingsError
from pipelines import catalog
from pipelines.building import BuildOptions, build
from pipelines.compile import checked, compiled, in_format, pipeline_documents, version_name, write
from pipelines.placement import PLACEMENTS, Placement, Volume
from pipelines.plan import read

NAME = "action_recognition"
VOLUME = Volume("trainyard", "/data")


def placements(**changes: Any) -> dict[str, Placement]:
    """The default placements, with a volume; `changes` are fields by stage."""
    return {
        stage: replace(placement, volumes=(VOLUME,), **changes.get(stage, {}))
        for stage, placement in PLACEMENTS.items()
    }


def containers(documents: list[Any]) -> dict[str, Any]:
    executors = documents[0]["deploymentSpec"]["executors"]
    return {name: executor["container"] for name, executor in executors.items()}


def form(documents: list[Any]) -> dict[str, Any]:
    declared = documents[0]["root"]["inputDefinitions"]["parameters"]
    return {name: declared[name]["defaultValue"] for name in ("gpus", "gpu_type")}


@pytest.mark.parametrize("name", catalog.names())
def test_every_pipeline_passes_the_linter_however_it_is_compiled(name: str) -> None:
    for options in (
        BuildOptions(),
        BuildOptions(placements(), "volume", "/data/state", notify="trainyard-webhook"),
    ):
        made, _ = checked([name], options)
        assert in_format(made[0], "kubernetes", "vision").documents[0]["kind"] == "Pipeline"


def test_the_form_proposes_the_gpus_that_were_asked_for() -> None:
    mig = "nvidia.com/mig-1g.10gb"
    options = BuildOptions(placements(train_video={"gpus": 4, "gpu_type": mig}))
    documents = pipeline_documents(NAME, options)
    assert form(documents) == {"gpus": "4", "gpu_type": mig}
    assert read(build(NAME, options)).resolve({"source": "x"})["gpus"] == "4"
    accelerator = containers(documents)["exec-train-video"]["resources"]["accelerator"]
    assert "gpus" in accelerator["resourceCount"]
    assert form(pipeline_documents(NAME)) == {"gpus": "1", "gpu_type": "nvidia.com/gpu"}


def test_no_gpus_are_a_proposal_too() -> None:
    without = placements(train_video={"gpus": 0}, hpo_sweep={"gpus": 0})
    documents = pipeline_documents(NAME, BuildOptions(without))
    assert form(documents)["gpus"] == "0"
    accelerator = containers(documents)["exec-train-video"]["resources"]["accelerator"]
    assert "gpus" in accelerator["resourceCount"]  # the form can still ask for some


def test_a_stage_with_other_gpus_than_the_form_keeps_its_own() -> None:
    options = BuildOptions(placements(train_video={"gpus": 4}, evaluate_clips={"gpus": 1}))
    documents = pipeline_documents(NAME, options)
    assert form(documents)["gpus"] == "4"
    resources = containers(documents)["exec-evaluate-clips"]["resources"]
    assert resources["accelerator"]["resourceCount"] == "1"


@pytest.mark.parametrize("storage", ["artifact", "volume"])
def test_work_stays_on_the_volume_whatever_passes(storage: Any) -> None:
    documents = pipeline_documents(NAME, BuildOptions(placements(), storage, "/data/state"))
    platform = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    stages = {f"exec-{step.task}" for step in read(catalog.load(NAME)).steps}
    assert stages == set(containers(documents))
    for name, container in containers(documents).items():
        variables = {variable["name"]: variable["value"] for variable in container["env"]}
        expected = {"TRAINYARD_STATE_DIR": "/data/state"}
        if storage == "volume":
            expected["TRAINYARD_ARTIFACTS"] = "location"
        assert variables == expected
        assert [mount["mountPath"] for mount in platform[name]["pvcMount"]] == ["/data"]
        [field] = platform[name]["fieldPathAsEnv"]
        assert field["name"] == "TRAINYARD_RUN_ID"


def test_the_last_task_starts_where_the_stages_do() -> None:
    shared = {"image_pull_secrets": ("registry",), "queue": "gpus"}
    asked = {stage: replace(placement, **shared) for stage, placement in PLACEMENTS.items()}
    asked["train_video"] = replace(asked["train_video"], labels={"team": "vision"})
    documents = pipeline_documents(NAME, BuildOptions(asked, notify="trainyard-webhook"))
    executors = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors["exec-notify"]["imagePullSecret"][0]["secretName"] == "registry"
    labels = executors["exec-notify"]["podMetadata"]["labels"]
    assert labels == {"kueue.x-k8s.io/queue-name": "gpus"}


def test_images_are_chosen_when_a_pipeline_is_compiled() -> None:
    pinned = "registry.example.org/mine@sha256:" + "0" * 64
    options = BuildOptions(registry="registry.example.org/vision", images={"torch": pinned})
    for name, container in containers(pipeline_documents(NAME, options)).items():
        if name.startswith(("exec-train-video", "exec-evaluate-clips", "exec-hpo-sweep")):
            assert container["image"] == pinned
        elif name != "exec-triton-publish":
            assert container["image"].startswith("registry.example.org/vision/trainyard-data:")


def test_the_other_nodes_have_the_image_of_the_first() -> None:
    options = BuildOptions(placements(train_video={"nodes": 2}), "volume", "/data/state")
    options = replace(options, registry="registry.example.org/vision")
    container = containers(pipeline_documents(NAME, options))["exec-train-video"]
    assert container["image"].startswith("registry.example.org/vision/trainyard-torch:")
    assert container["image"] in str(container["env"])


def test_a_version_is_named_for_its_content() -> None:
    same = [version_name(NAME, pipeline_documents(NAME)) for _ in range(2)]
    text = json.dumps(pipeline_documents(NAME))
    # As Kubernetes returns numbers.
    shorter = json.loads(text, parse_float=lambda t: int(t[:-2]) if t.endswith(".0") else float(t))
    assert json.dumps(shorter) != text
    assert version_name(NAME, shorter) == same[0]
    other = version_name(NAME, pipeline_documents(NAME, BuildOptions(registry="other")))
    platform = version_name(NAME, pipeline_documents(NAME, BuildOptions(placements())))
    assert same[0] == same[1]
    assert len({same[0], other, platform}) == 3
    assert same[0].startswith("action-recognition-")
    assert len(same[0]) == len("action-recognition-") + 10


def test_a_compiled_pipeline_has_the_same_bytes_every_time(tmp_path: Path) -> None:
    script = (
        "from test_building import *\n"
        "options = BuildOptions(placements(), 'volume', '/data/state', images={'data': 'a/b:1'})\n"
        "print(compiled(NAME, options).text(), end='')\n"
    )
    folders = f"{Path(__file__).parent}:{REPOSITORY / 'tests'}:{REPOSITORY}"
    texts = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONPATH": folders, "PYTHONHASHSEED": seed, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1
    [text] = texts
    assert text.startswith(b"# PIPELINE DEFINITION\n# Name: action-recognition\n")


def test_only_compiled_pipelines_are_overwritten(tmp_path: Path) -> None:
    made = [compiled(name) for name in catalog.names()]
    first, *others = write(made, tmp_path)
    before = first.read_bytes()
    assert write(made, tmp_path) == [first, *others]
    assert first.read_bytes() == before
    first.unlink()
    others[0].write_text("epochs: 3\n")
    with pytest.raises(SettingsError, match="is no compiled pipeline; move it away"):
        write(made, tmp_path)
    assert not first.exists()
    assert others[0].read_text() == "epochs: 3\n"
    others[0].write_text(made[0].text())
    with pytest.raises(SettingsError, match=r"is another pipeline \(Name: .*\); move it away"):
        write(made, tmp_path)
