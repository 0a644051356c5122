"""Pipelines of every kind that kfp can draw, none with a fault: what a linter has to accept."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Optional

import yaml
from kfp import compiler, dsl, kubernetes
from kfp.dsl import (
    Collected,
    Dataset,
    Input,
    Model,
    Output,
    OutputPath,
    PipelineTaskFinalStatus,
)

component = dsl.component(base_image="registry/python:1", install_kfp_package=False)


def compiled(drawn: Any) -> list[dict[str, Any]]:
    """The documents that kfp compiles a pipeline or component to."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pipeline.yaml")
        compiler.Compiler().compile(drawn, str(path))
        return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


@component
def add(a: int = 1, b: int = 2) -> int:
    return a + b


@component
def say(text: str = "hello") -> str:
    return text


@component
def numbers() -> list[int]:
    return [1, 2]


@component
def make(data: Output[Dataset], rows: int = 3):
    Path(data.path).write_text(str(rows))


@component
def train(data: Input[Dataset], model: Output[Model]) -> float:
    return 1.0


@component
def merge(models: Input[list[Model]], scores: list[float]) -> float:
    return max(scores)


@component
def tell(status: PipelineTaskFinalStatus, hook: str = ""):
    print(status.state)


@component
def several(text: Optional[str] = None, many: list[str] = [], one: bool = False) -> NamedTuple(  # noqa: B006, UP045
    "Out", [("count", int), ("share", float)]
):
    return (len(many), 0.5)


@dsl.pipeline(name="branches")
def branches(kind: str = "a", count: int = 3) -> str:
    with dsl.If(kind == "a"):
        first = say(text="a")
    with dsl.Elif(kind == "b"):
        second = say(text=f"b of {kind}")
    with dsl.Else():
        with dsl.If(count > 2):
            add(a=count)
        third = say(text="other")
    return dsl.OneOf(first.output, second.output, third.output)


@dsl.pipeline(name="loops")
def loops(names: list[str] = ["a", "b"], rows: int = 2) -> float:  # noqa: B006
    with dsl.ParallelFor(names, parallelism=2) as name:
        say(text=name)
        made = make(rows=rows)
        trained = train(data=made.output)
    return merge(
        models=Collected(trained.outputs["model"]), scores=Collected(trained.outputs["Output"])
    ).output


@dsl.pipeline(name="loops-in-loops")
def loops_in_loops(times: int = 2):
    listed = numbers()
    outer = add(a=times)
    with dsl.ParallelFor(listed.output) as number:
        with dsl.ParallelFor([{"a": 1, "b": 2}, {"a": 3, "b": 4}]) as pair:
            inner = add(a=pair.a, b=number)
            with dsl.If(inner.output > 3):
                add(a=outer.output, b=inner.output).after(inner)


@dsl.pipeline(name="exits")
def exits(hook: str = "x"):
    with dsl.ExitHandler(tell(hook=hook), name="everything"):
        made = make()
        train(data=made.output)
        with dsl.ParallelFor([1, 2]) as number:
            add(a=number)
    say(text="done").after(add()).ignore_upstream_failure()


@dsl.pipeline(name="inner")
def inner(data: Input[Dataset], rows: int = 1) -> Model:
    add(a=rows)
    return train(data=data).outputs["model"]


@dsl.pipeline(name="nested")
def nested(rows: int = 3) -> Model:
    made = make(rows=rows)
    with dsl.If(rows > 1):
        inner(data=made.output, rows=rows)
    return inner(data=made.output).output


@dsl.pipeline(name="imports")
def imports(uri: str = "s3://bucket/data", part: str = "train"):
    data = dsl.importer(
        artifact_uri=uri, artifact_class=Dataset, reimport=True, metadata={"part": part}
    )
    train(data=data.output)
    fixed = dsl.importer(artifact_uri="s3://bucket/fixed", artifact_class=Dataset)
    train(data=fixed.output)


@dsl.pipeline(name="claims")
def claims(claim: str = "clips", size: str = "5Gi"):
    made = kubernetes.CreatePVC(
        pvc_name_suffix="-work", access_modes=["ReadWriteMany"], size=size,
        storage_class_name="standard",
    )  # fmt: skip
    first = add()
    kubernetes.mount_pvc(first, pvc_name=made.outputs["name"], mount_path="/work")
    kubernetes.mount_pvc(first, pvc_name="data", mount_path="/data", sub_path="videos/2024")
    with dsl.ParallelFor([1, 2]) as number:
        inside = add(a=number)
        kubernetes.mount_pvc(inside, pvc_name=claim, mount_path="/data")
        kubernetes.mount_pvc(inside, pvc_name=made.outputs["name"], mount_path="/work")
    kubernetes.DeletePVC(pvc_name=made.outputs["name"]).after(first, inside)


@dsl.pipeline(name="secrets")
def secrets(secret: str = "database", settings: str = "settings"):
    task = add()
    kubernetes.use_secret_as_env(task, secret_name=secret, secret_key_to_env={"dsn": "DSN"})
    kubernetes.use_secret_as_volume(task, secret_name="certificates", mount_path="/certificates")
    kubernetes.use_config_map_as_env(
        task, config_map_name=settings, config_map_key_to_env={"level": "LEVEL"}
    )
    kubernetes.use_config_map_as_volume(task, config_map_name="files", mount_path="/files")
    kubernetes.use_field_path_as_env(task, env_name="NODE", field_path="spec.nodeName")
    kubernetes.set_image_pull_secrets(task, ["registry"])
    kubernetes.set_image_pull_policy(task, "IfNotPresent")
    with dsl.If(settings == "other"):
        inside = add()
        kubernetes.use_secret_as_env(inside, secret_name=secret, secret_key_to_env={"a": "A"})


@dsl.pipeline(name="retries")
def retries():
    task = add().set_retry(3, backoff_duration="60s", backoff_factor=2, backoff_max_duration="1h")
    task.set_caching_options(False).set_display_name("Adds").set_env_variable("LEVEL", "info")
    kubernetes.set_timeout(task, 3600)
    add().set_caching_options(True, cache_key="one")


@dsl.pipeline(name="gpus")
def gpus(kind: str = "nvidia.com/gpu", count: str = "1", cpu: str = "4", image: str = "r/i:1"):
    add().set_accelerator_type(kind).set_accelerator_limit(count)
    add().set_accelerator_type("nvidia.com/mig-1g.10gb").set_accelerator_limit(1)
    plain = add().set_cpu_request("500m").set_cpu_limit("1").set_memory_request("1Gi")
    plain.set_memory_limit("2Gi")
    add().set_cpu_limit(cpu)
    add().set_container_image(image)
    with dsl.ParallelFor([1, 2]) as number:
        inside = add(a=number).set_accelerator_type(kind).set_accelerator_limit(count)
        inside._channel_inputs += [kind, count]  # what kfp 2.17 forgets


@dsl.pipeline(name="nodes")
def nodes(selector: dict = {"kind": "gpu"}, tolerated: list = [], affinity: dict = {}):  # noqa: B006
    fixed = add()
    kubernetes.add_node_selector(fixed, "nvidia.com/gpu.product", "NVIDIA-A10")
    kubernetes.add_toleration(fixed, key="reserved", operator="Exists", effect="NoSchedule")
    kubernetes.add_toleration(
        fixed, key="gone", operator="Equal", value="x", effect="NoExecute", toleration_seconds=60
    )
    kubernetes.add_node_affinity(
        fixed,
        match_expressions=[{"key": "zone", "operator": "In", "values": ["a", "b"]}],
        weight=10,
    )
    with dsl.If(say().output == "hello"):
        chosen = add()
        kubernetes.add_node_selector_json(chosen, selector)
        kubernetes.add_toleration_json(chosen, tolerated)
        kubernetes.add_node_affinity_json(chosen, affinity)
    constant = add()
    kubernetes.add_node_selector_json(constant, {"kind": "cpu"})
    kubernetes.add_toleration_json(constant, [{"key": "a", "operator": "Exists"}])
    zone = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}
    preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [{"preference": zone}]}
    kubernetes.add_node_affinity_json(constant, preferred)


@dsl.container_component
def shell(text: str, model: Input[Model], out: OutputPath(str), note: str = "", n: int = 1):
    return dsl.ContainerSpec(
        image="registry/shell@sha256:" + "0" * 64,
        command=["sh", "-c"],
        args=[
            dsl.ConcatPlaceholder(["--text=", text]),
            dsl.IfPresentPlaceholder("note", then=["--note", note], else_=["--none"]),
            model.path, model.uri, out, n,
        ],
    )  # fmt: skip


@dsl.pipeline(name="containers")
def containers(text: str = "a"):
    shell(text=text, model=train(data=make().output).outputs["model"])


@dsl.pipeline(
    name="spaces",
    pipeline_config=dsl.PipelineConfig(
        workspace=dsl.WorkspaceConfig(
            size="5Gi",
            kubernetes=dsl.KubernetesWorkspaceConfig(
                pvcSpecPatch={"accessModes": ["ReadWriteMany"], "storageClassName": "fast"}
            ),
        ),
        ttl_seconds_after_finished=600,
        active_deadline_seconds=3600,
    ),
)
def spaces():
    say(text=dsl.WORKSPACE_PATH_PLACEHOLDER)


@dsl.pipeline(name="pods")
def pods():
    task = add()
    kubernetes.empty_dir_mount(task, "dshm", "/dev/shm", medium="Memory", size_limit="8Gi")
    kubernetes.empty_dir_mount(task, "scratch", "/scratch")
    kubernetes.add_ephemeral_volume(
        task, volume_name="big", mount_path="/big", access_modes=["ReadWriteOnce"], size="1Ti"
    )
    kubernetes.add_pod_label(task, "kueue.x-k8s.io/queue-name", "gpu")
    kubernetes.add_pod_annotation(task, "example.org/why", "because: it is needed")
    kubernetes.set_security_context(task, run_as_user=1000, run_as_group=0, run_as_non_root=True)


@dsl.pipeline(name="values", display_name="All values", description="Every type.")
def values(
    text: str = "it's", whole: int = -3, real: float = 1.5, flag: bool = True,
    listed: list = [1, "a", {"b": 2.5}], mapped: dict = {"a": {"b": []}},  # noqa: B006
    given: Optional[str] = None,  # noqa: UP045
):  # fmt: skip
    several(text=given, many=["x"], one=flag)
    say(text=f"{text} and {whole} in {dsl.PIPELINE_JOB_NAME_PLACEHOLDER}")
    say(text=dsl.PIPELINE_TASK_ID_PLACEHOLDER)
    add(a=whole, b=several().outputs["count"])


@dsl.component(
    base_image="registry/python:1",
    install_kfp_package=False,
    task_config_passthroughs=[dsl.TaskConfigField.RESOURCES, dsl.TaskConfigField.ENV],
)
def launch(config: dsl.TaskConfig, workers: int = 2):
    print(config)


@dsl.pipeline(name="launches")
def launches():
    launch().set_cpu_limit("1").set_env_variable("A", "b")


@component
def clients(user: str = "me") -> str:
    import os

    token = os.environ["SERVICE_TOKEN"]
    password_variable = "SERVICE_PASSWORD"
    words = sorted(os.environ, key=str.lower)
    return f"https://{user}:{token}@{words}{password_variable}"


PIPELINES: dict[str, Callable[..., Any]] = {
    drawn.name: drawn
    for drawn in (
        branches, loops, loops_in_loops, exits, nested, imports, claims, secrets, retries, gpus,
        nodes, containers, spaces, pods, values, launches, add, clients,
    )
}  # fmt: skip
