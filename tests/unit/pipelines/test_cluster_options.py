"""What the options of `run` mean for each backend: placements, volumes, GPUs as parameters."""

from typing import Any

import pytest

from components.core.errors import SettingsError
from pipelines.backends import ClusterOptions
from pipelines.cluster_options import cluster_options
from pipelines.placement import PLACEMENTS, PRP_PLACEMENTS, Volume

NOTHING: dict[str, Any] = {
    "gpus": None, "gpu_type": None, "gpu_products": (), "volumes": (), "secrets": (),
    "tolerations": (), "labels": (), "queue": None, "image_pull_secrets": (), "namespace": "",
    "image_registry": "", "placement": None, "storage": None, "notify": "", "experiment": None,
    "service_account": None,
}  # fmt: skip
"""As click gives them where nobody says anything."""


def options(backend: str, values: dict[str, Any] | None = None, **given: Any) -> ClusterOptions:
    made = cluster_options(backend, "", "", {**NOTHING, **given}, values or {})
    assert made is not None
    return made


def test_this_machine_has_no_placements_and_ignores_the_parameters_on_gpus() -> None:
    assert cluster_options("local", "", "", NOTHING, {"gpus": 4}) is None


@pytest.mark.parametrize("backend", ["kubeflow", "kubectl"])
def test_kubeflow_needs_no_volume_unless_results_stay_on_it(backend: str) -> None:
    plain = options(backend)
    assert (plain.placements, plain.root, plain.storage) == (PLACEMENTS, "", "artifact")
    assert plain.problems == ()
    [problem] = options(backend, storage="volume").problems
    assert problem.startswith("--storage volume: outputs would stay on a volume")
    made = options(backend, storage="volume", volumes=("old:/old:ro", "work:/data"))
    assert (made.root, made.storage, made.problems) == ("/data", "volume", ())
    assert all(Volume("work", "/data") in p.volumes for p in made.placements.values())


def test_everything_reaches_the_backend() -> None:
    made = options(
        "kubeflow", namespace="vision", image_registry="r/v", notify="hook", experiment="first",
        service_account="me", queue="gpus",
    )  # fmt: skip
    assert (made.namespace, made.registry, made.notify) == ("vision", "r/v", "hook")
    assert (made.experiment, made.service_account) == ("first", "me")
    assert {placement.queue for placement in made.placements.values()} == {"gpus"}


def test_jobs_need_a_volume_and_have_their_own_placements() -> None:
    [problem] = options("prp").problems
    assert problem.startswith("--pvc is missing")
    made = options("prp", volumes=("work:/data",))
    assert (made.root, made.problems) == ("/data", ())
    assert made.placements["train_video"].gpus == PRP_PLACEMENTS["train_video"].gpus == 4


@pytest.mark.parametrize("gpus", [2, "2"])
def test_parameters_on_gpus_are_the_options_for_jobs(gpus: int | str) -> None:
    kind = {"gpu_type": "nvidia.com/a100"}
    by_option = options("prp", volumes=("work:/data",), gpus=2, **kind)
    by_value = options("prp", {"gpus": gpus, **kind}, volumes=("work:/data",))
    assert by_value.placements == by_option.placements
    train = by_value.placements["train_video"]
    assert (train.gpus, train.gpu_type, train.cpu) == (2, "nvidia.com/a100", "8")
    assert by_value.placements["evaluate_clips"].gpus == 0
    assert by_value.placements["evaluate_clips"].gpu_type == "nvidia.com/gpu"


def test_wrong_parameters_are_left_to_be_told_with_the_others() -> None:
    wrong = {"gpus": -1, "gpu_type": "nvidia", "node_selector": {"a b": "c"}}
    made = options("prp", wrong, volumes=("work:/data",))
    assert made == options("prp", volumes=("work:/data",))


def test_nodes_are_chosen_for_the_stages_with_gpus_only() -> None:
    made = options("prp", {"node_selector": {"zone": "b"}}, volumes=("work:/data",))
    assert made.placements["train_video"].node_labels == {"zone": ("b",)}
    assert made.placements["split_clips"].node_labels == {}


@pytest.mark.parametrize("backend", ["kubeflow", "prp"])
def test_an_option_and_a_parameter_may_not_contradict_each_other(backend: str) -> None:
    made = options(backend, {"gpus": 4}, gpus=2, volumes=("work:/data",))
    assert made.problems == ("gpus: 4, but --gpus says 2; give one",)
    assert options(backend, {"gpus": 2}, gpus=2, volumes=("work:/data",)).problems == ()


def test_what_a_backend_cannot_obey_is_refused() -> None:
    with pytest.raises(SettingsError, match="--storage, --experiment: for --backend kubeflow, kub"):
        options("prp", storage="volume", experiment="first", volumes=("work:/data",))
    with pytest.raises(SettingsError, match="--pvc, --queue: for --backend kubeflow, kubectl, prp"):
        options("local", volumes=("work",), queue="gpus")
    [problem] = options("kubectl", secrets=("database",)).problems
    assert "a Kubeflow task takes single keys" in problem


def test_what_is_asked_for_in_vain_is_told_once(
    tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "placement.yaml"
    file.write_text("all: {backoff_seconds: 5}\nsplit_clips: {ephemeral_storage: 1Gi}\n")
    options("prp", placement=str(file), volumes=("work:/data",))
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: backoff_seconds: a Job cannot ask for it")
    assert line.endswith("(every stage)")
    options("kubeflow", placement=str(file), volumes=("work:/data:ro",))
    told = capsys.readouterr().err
    assert "warning: ephemeral_storage: a Kubeflow task cannot ask for it" in told
    assert "(split_clips)" in told
    assert "read-only it cannot (every stage)" in told
