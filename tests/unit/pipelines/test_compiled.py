"""Compiled pipelines: equal to the golden files, and what a cluster needs is in them."""

import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines import catalog, plan
from pipelines.compile import compile_pipeline
from pipelines.placement import GPU_PARAMETERS, ClusterChoice, GpuChoice

GOLDEN = Path(__file__).parents[2] / "golden"
NAMES = catalog.names()


def documents(path: Path) -> list[Any]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def test_every_pipeline_has_a_golden_file() -> None:
    assert [path.stem for path in sorted(GOLDEN.glob("*.yaml"))] == NAMES
    assert "action_recognition" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_compiles_to_its_golden_file(name: str, tmp_path: Path) -> None:
    compiled = documents(compile_pipeline(name, tmp_path))
    assert compiled == documents(GOLDEN / f"{name}.yaml"), (
        "the compiled pipeline changed; if that is meant: trainyard compile --all --output "
        "tests/golden"
    )


@pytest.mark.parametrize("name", NAMES)
def test_form_settings_and_components_show_the_same_parameters(name: str) -> None:
    described = plan.read(catalog.load(name))
    settings = {
        field: info
        # where a search shares a parameter with the trainer, such as monitor, the trainer says more
        for step in sorted(described.steps, key=lambda step: not step.texts)
        for field, info in step.stage.settings.model_fields.items()
        if field not in {*step.constants, *step.texts, *step.items}
    }
    assert not set(GPU_PARAMETERS) & set(settings)
    searches = any(step.stage.name == "hpo_sweep" for step in described.steps)
    settings |= (ClusterChoice if searches else GpuChoice).model_fields
    assert set(described.parameters) == set(settings)
    signature = inspect.signature(catalog.load(name).pipeline_func)
    defaults = importlib.import_module(f"pipelines.projects.{name}").DEFAULTS
    assert set(defaults) <= set(settings)
    for parameter in described.parameters.values():
        assert parameter.description, parameter.name
        assert parameter.required == settings[parameter.name].is_required()
        if not parameter.required:
            default = defaults.get(parameter.name, settings[parameter.name].default)
            assert signature.parameters[parameter.name].default == default, parameter.name
            assert parameter.default == default, parameter.name
    for step in described.steps:
        filled = {*step.parameters, *step.constants, *step.texts, *step.items}
        assert filled == set(step.stage.settings.model_fields)
        assert all(name == parameter for name, parameter in step.parameters.items())


@pytest.mark.parametrize("name", NAMES)
def test_no_secret_and_no_moving_image_in_the_document(name: str) -> None:
    text = (GOLDEN / f"{name}.yaml").read_text(encoding="utf-8")
    for executor in documents(GOLDEN / f"{name}.yaml")[0]["deploymentSpec"]["executors"].values():
        image = executor["container"]["image"]
        assert ":" in image
        assert not image.endswith(":latest")
    assert "SECRET_KEY" in text  # the reference to the Kubernetes Secret, by name only
    spec = documents(GOLDEN / f"{name}.yaml")[0]
    for executor in spec["deploymentSpec"]["executors"].values():
        assert "SECRET" not in str(executor["container"].get("env", ""))


def test_action_recognition_asks_for_a_gpu_and_never_caches_the_outside_world() -> None:
    spec, platform = documents(GOLDEN / "action_recognition.yaml")
    executors = spec["deploymentSpec"]["executors"]
    accelerator = executors["exec-train-video"]["container"]["resources"]["accelerator"]
    assert accelerator["resourceType"] == "{{$.inputs.parameters['pipelinechannel--gpu_type']}}"
    assert accelerator["resourceCount"] == "{{$.inputs.parameters['pipelinechannel--gpus']}}"
    declared = spec["root"]["inputDefinitions"]["parameters"]
    assert declared["gpu_type"]["defaultValue"] == "nvidia.com/gpu"
    assert declared["gpus"]["defaultValue"] == "1"
    # the backend reads what it puts into a pod as texts; a number would be no GPU at all
    assert declared["gpus"]["parameterType"] == "STRING"
    groups = [spec["root"], *(c for c in spec["components"].values() if "dag" in c)]
    tasks = {k: t for group in groups for k, t in group["dag"]["tasks"].items()}
    assert set(tasks) > {"dataset-sync", "train-video", "triton-publish"}
    for name, task in tasks.items():
        external = name in ("dataset-sync", "check-changes", "triton-publish")
        external |= name.startswith("hpo-sweep")
        if "cachingOptions" in task or not name.startswith(("condition-", "for-loop-")):
            assert bool(task["cachingOptions"].get("enableCache")) != external, name
    kubernetes = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    mount = kubernetes["exec-train-video"]["emptyDirMounts"][0]
    assert mount["mountPath"] == "/dev/shm"
    assert mount["medium"] == "Memory"
    assert "secretAsEnv" in kubernetes["exec-dataset-sync"]
    assert "secretAsEnv" not in kubernetes.get("exec-train-video", {})


def test_each_worker_of_a_search_gets_a_gpu_and_its_number() -> None:
    spec, platform = documents(GOLDEN / "action_recognition.yaml")
    executors = spec["deploymentSpec"]["executors"]
    kubernetes = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for name in ("exec-hpo-sweep", "exec-hpo-sweep-2"):
        assert (
            executors[name]["container"]["resources"]["accelerator"]
            == (executors["exec-train-video"]["container"]["resources"]["accelerator"])
        )
        assert kubernetes[name]["secretAsEnv"][0]["secretName"] == "trainyard-postgres"
        assert kubernetes[name]["secretAsEnv"][0]["optional"] is True
    groups = [c for c in spec["components"].values() if "dag" in c]
    [loop] = [g for g in groups if [*g["dag"]["tasks"]] == ["hpo-sweep-2"]]
    number = loop["dag"]["tasks"]["hpo-sweep-2"]["inputs"]["parameters"]["worker"]
    declared = loop["inputDefinitions"]["parameters"][number["componentInputParameter"]]
    assert declared["parameterType"] == "NUMBER_INTEGER"  # servers refuse any other item


def test_what_the_form_says_of_gpus_and_nodes_reaches_the_steps_below_the_condition() -> None:
    spec, platform = documents(GOLDEN / "action_recognition.yaml")
    [group] = [t for t in spec["root"]["dag"]["tasks"].values() if "triggerPolicy" in t]
    handed = group["inputs"]["parameters"]
    below = spec["components"][group["componentRef"]["name"]]
    for name in GPU_PARAMETERS:
        channel = f"pipelinechannel--{name}"
        assert handed[channel] == {"componentInputParameter": name}
        assert channel in below["inputDefinitions"]["parameters"]
    taken = below["dag"]["tasks"]["train-video"]["inputs"]["parameters"]
    for name in ("gpus", "gpu_type"):
        channel = f"pipelinechannel--{name}"
        assert taken[channel] == {"componentInputParameter": channel}
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    [chosen] = executors["exec-train-video"]["nodeSelector"].values()
    assert chosen == {"componentInputParameter": "pipelinechannel--node_selector"}


def test_every_step_of_a_recorded_pipeline_can_tell_the_registry() -> None:
    for name, expected in (("video_classification", True), ("action_recognition", False)):
        spec, platform = documents(GOLDEN / f"{name}.yaml")
        options = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        assert set(spec["deploymentSpec"]["executors"]) == set(options) or not expected
        for executor in options.values():
            secrets = [s for s in executor.get("secretAsEnv", ()) if s["optional"]]
            variables = [key["envVar"] for secret in secrets for key in secret["keyToEnv"]]
            assert ("TRAINYARD_POSTGRES_DSN" in variables) == expected
            paths = [field["name"] for field in executor.get("fieldPathAsEnv", ())]
            assert ("TRAINYARD_RUN_ID" in paths) == expected


def test_search_and_publishing_run_in_the_trainers_image() -> None:
    for name, image in (("video_classification", "tensorflow"), ("action_recognition", "torch")):
        executors = documents(GOLDEN / f"{name}.yaml")[0]["deploymentSpec"]["executors"]
        used = {
            label: executor["container"]["image"].rpartition("trainyard-")[2].partition(":")[0]
            for label, executor in executors.items()
        }
        stages = [label for label in used if "hpo-sweep" in label or "triton-publish" in label]
        assert len(stages) >= 2
        assert {used[label] for label in stages} == {image}
