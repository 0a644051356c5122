"""prp/ and everything rendered for it: valid for Kubernetes, within the platform's rules, ours."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from kustomized import Document, kustomize, validate
from trainyard_process import REPOSITORY, run

from components import __version__
from components.core.settings import build
from pipelines import catalog, job_rules, plan
from pipelines.jobs import StageJob, stage_documents
from pipelines.placement import PRP_PLACEMENTS, Volume
from pipelines.placement_changes import change

PRP = REPOSITORY / "prp"
JOBS = ("sync", "train", "test", "eval")
OTHERS = ("volume", "copy", "driver")
CONFIGURATIONS = sorted(
    path.parent.name
    for path in (PRP / "configs").glob("*/kustomization.yaml")
    if not path.parent.name.startswith("_")
)
LINE = "  - ../configs/resizer_2d_56\n"


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of prp/ in which the configuration can be changed."""
    folder = tmp_path_factory.mktemp("study") / "prp"
    shutil.copytree(PRP, folder)
    return folder


def choose(folder: Path, job: str, configuration: str) -> Path:
    """Changes the one line that names the configuration, for every job."""
    text = (PRP / "configuration" / "kustomization.yaml").read_text(encoding="utf-8")
    assert text.count(LINE) == 1
    file = folder / "configuration" / "kustomization.yaml"
    file.write_text(text.replace("resizer_2d_56", configuration), encoding="utf-8")
    return folder / "jobs" / job


def test_one_file_names_the_configuration() -> None:
    """What was trained is what is tested: no job names a configuration itself."""
    naming = [
        str(path.relative_to(PRP))
        for path in PRP.rglob("*.yaml")
        if path.parent.parent.name != "configs" and re.search(r"- \S*configs/", path.read_text())
    ]
    assert naming == ["configuration/kustomization.yaml"]


def test_every_configuration_of_the_study_is_there() -> None:
    assert {
        "i3d",
        "i3d_charades",
        "resizer_2d_14",
        "resizer_2d_28",
        "resizer_2d_56",
        "resizer_3d_56",
        "stn_resizer_2d_56",
        "transformer_resizer_56",
    } <= set(CONFIGURATIONS)
    assert sorted(path.name for path in (PRP / "jobs").iterdir()) == sorted(JOBS)


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_job_of_a_configuration(chosen: Path, job: str, configuration: str) -> None:
    documents = kustomize(choose(chosen, job, configuration))
    validate(documents)
    assert [str(finding) for finding in job_rules.check(documents)] == []
    [made] = [document for document in documents if document["kind"] == "Job"]
    assert made["metadata"]["name"] == f"{job}-{configuration.replace('_', '-')}"
    assert {document["metadata"]["namespace"] for document in documents} == {"trainyard"}
    check_settings(made["spec"]["template"]["spec"], documents)


def check_settings(pod: Document, documents: list[Document]) -> None:
    """Every container's settings file exists and holds valid settings; every path is given."""
    maps = {d["metadata"]["name"]: d["data"] for d in documents if d["kind"] == "ConfigMap"}
    files: dict[str, str] = {}
    [config] = [volume for volume in pod["volumes"] if volume["name"] == "config"]
    for source in config.get("projected", {}).get("sources", [config]):
        files |= maps[source["configMap"]["name"]]
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        assert container["image"].endswith(f":{__version__}")
        stage = plan.load_stage(container["command"][-1].removeprefix("components."))
        arguments = container["args"]
        given = dict(zip(arguments[::2], arguments[1::2], strict=True))
        settings = yaml.safe_load(files[given.pop("-f").removeprefix("/trainyard/config/")])
        build(stage.settings, settings)
        places = {name.removeprefix("--") for name in given}
        assert set(stage.inputs) - stage.optional <= places <= {*stage.inputs, *stage.outputs}
        variables = {v["name"] for v in container["env"]}
        for source in container["envFrom"]:
            variables |= set(maps[source["configMapRef"]["name"]])
        assert set(re.findall(r"\$\((\w+)\)", " ".join(arguments))) <= variables


@pytest.mark.parametrize("name", OTHERS)
def test_other_manifests(name: str) -> None:
    documents = kustomize(PRP / name)
    validate(documents)
    assert job_rules.check(documents) == []
    assert {document["metadata"]["namespace"] for document in documents} == {"trainyard"}


def test_only_the_site_sets_namespace_and_tag() -> None:
    for path in PRP.rglob("*.yaml"):
        if path.parent.name == "site":
            continue
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s*(namespace|newTag):", text, re.MULTILINE), path
        assert not re.search(r"image: \S+:\S+", text), path


def test_the_overlays_job_is_the_one_that_the_builder_makes() -> None:
    """Written by hand and built by code, the two agree in everything that is policy."""
    [overlay] = [d for d in kustomize(PRP / "jobs" / "train") if d["kind"] == "Job"]
    stage = plan.load_stage("train_video")
    placement = change(PRP_PLACEMENTS["train_video"], {"volumes": (Volume("trainyard", "/data"),)})
    built = stage_documents(
        StageJob(
            stage,
            f"trainyard/trainyard-torch:{__version__}",
            stage.settings(),
            {"frames": "/data/f", "split": "/data/s"},
            {"model": "/data/m"},
            placement,
            "/data/state",
        )
    )[1]
    for key in ("backoffLimit", "activeDeadlineSeconds", "podFailurePolicy",
                "ttlSecondsAfterFinished"):  # fmt: skip
        assert overlay["spec"][key] == built["spec"][key], key
    ours, theirs = (d["spec"]["template"]["spec"] for d in (built, overlay))
    for key in ("restartPolicy", "terminationGracePeriodSeconds", "securityContext",
                "automountServiceAccountToken"):  # fmt: skip
        assert theirs[key] == ours[key], key
    ours, theirs = (pod["containers"][0] for pod in (ours, theirs))
    for key in ("image", "command", "resources", "securityContext", "workingDir"):
        assert theirs[key] == ours[key], key
    assert [m["mountPath"] for m in theirs["volumeMounts"]] == [
        m["mountPath"] for m in ours["volumeMounts"]
    ]


OF_STAGES = {
    "dataset_sync": ["source=/data/source"],
    "rendering_sync": ["source=/data/source"],
    "annotation_sync": ["annotations=/data/source"],
}
"""Stage → settings that it needs; those of TAO need a project and an experiment."""


def test_printed_jobs_of_every_stage_are_valid(tmp_path: Path) -> None:
    for name in catalog.stages():
        stage = plan.load_stage(name)
        words = [f"--input={key}=/data/{key}" for key in stage.inputs]
        words += [f"--output={key}=/data/{key}" for key in stage.outputs]
        tao = ["project=/data/project", "experiment=first"] if name.startswith("tao_") else []
        settings = OF_STAGES.get(name, tao)
        done = run(
            tmp_path, "job", name, *settings, *words, "--pvc", "clips:/data", "--namespace", "x",
            "--secret", "all", "--toleration", "gpu=a40:NoSchedule", "--gpu-product", "NVIDIA-A40",
            "--label", "team=vision", "--image-pull-secret", "registry",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        documents = list(yaml.safe_load_all(done.stdout))
        validate(documents)
        assert job_rules.check(documents) == []


GIVEN = {
    "weed_detection": ["annotations=/data/images"],
    "tao_detection": ["project=/data/project", "experiment=first"],
}
"""Pipeline → parameters that it needs, where that is not `source`."""


@pytest.mark.parametrize("pipeline", catalog.names())
def test_rendered_runs_are_valid(tmp_path: Path, pipeline: str) -> None:
    done = run(
        tmp_path, "run", pipeline, "--backend", "prp", "--dry-run", "--name", "first",
        "--pvc", "clips:/data", *GIVEN.get(pipeline, ["source=/data/clips"]),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shown = yaml.safe_load(done.stdout)
    documents = [*shown["driver"], *(d for step in shown["steps"] for d in step["documents"])]
    validate(documents)
    assert job_rules.check(documents) == []


def test_the_schemas_refuse_what_is_invalid() -> None:
    import kubernetes_validate

    [job] = [d for d in kustomize(PRP / "jobs" / "train") if d["kind"] == "Job"]
    job["spec"]["backofLimit"] = 3
    with pytest.raises(kubernetes_validate.ValidationError):
        validate([job])
