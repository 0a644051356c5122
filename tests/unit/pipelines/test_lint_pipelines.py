"""The linter of compiled pipelines: it accepts every valid one and finds each planted fault."""

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from kfp import dsl
from reference_pipelines import PIPELINES, add, compiled, component, say, tell

from pipelines import catalog
from pipelines.building import BuildOptions, build
from pipelines.compile import pipeline_documents
from pipelines.container_rules import Finding
from pipelines.lint import lint_pipeline

Documents = list[dict[str, Any]]
Damage = Callable[[Documents], None]


@cache
def reference(name: str) -> Documents:
    return compiled(PIPELINES[name])


@pytest.mark.parametrize("name", sorted(PIPELINES))
def test_a_valid_pipeline_has_no_finding(name: str) -> None:
    assert lint_pipeline(reference(name)) == []
    assert len(PIPELINES) >= 15


def test_items_of_a_bare_list_are_texts_to_the_server_whatever_they_are_passed_to() -> None:
    @component
    def bare() -> list:
        return [1, 2]

    @component
    def typed() -> list[int]:
        return [1, 2]

    @dsl.pipeline(name="bare-loop")
    def bare_loop():
        with dsl.ParallelFor(bare().output) as number:
            add(a=number)

    @dsl.pipeline(name="typed-loop")
    def typed_loop():
        with dsl.ParallelFor(typed().output) as number:
            add(a=number)

    [finding] = lint_pipeline(compiled(bare_loop))
    assert finding.what == "is STRING, but the component wants NUMBER_INTEGER"
    assert "list[int]" in finding.mend
    assert lint_pipeline(compiled(typed_loop)) == []


def test_what_the_server_converts_or_takes_as_it_is_has_no_finding() -> None:
    @dsl.pipeline(name="converted")
    def converted(whole: int = 2, rows: list = [{"a": [{"b": 1}]}]):  # noqa: B006
        add(a=whole, b=3)
        with dsl.ParallelFor(rows) as row:
            with dsl.ParallelFor(row.a) as inner:
                say(text=inner.b)
                add(a=inner.b)
        with dsl.ParallelFor([[1, 2], [3]]) as row:
            with dsl.ParallelFor(row) as number:
                say(text=number)
        with dsl.ParallelFor([1, 2.5]) as number:
            say(text="a")

    documents = compiled(converted)
    assert lint_pipeline(documents) == []
    inputs = documents[0]["components"]["comp-add"]["inputDefinitions"]["parameters"]
    for name in ("a", "b"):
        inputs[name]["parameterType"] = "NUMBER_DOUBLE"
        assert lint_pipeline(documents) == []
    for name in ("a", "b"):
        inputs[name].update(parameterType="STRING", defaultValue="1")
        assert lint_pipeline(documents) == []


@pytest.mark.parametrize("name", catalog.names())
@pytest.mark.parametrize(
    "options",
    [
        BuildOptions(),
        BuildOptions(storage="volume", state_dir="/data/state", notify="trainyard-webhook"),
    ],
    ids=["artifact", "volume"],
)
def test_every_pipeline_of_the_catalogue_has_no_error(name: str, options: BuildOptions) -> None:
    found = lint_pipeline(pipeline_documents(name, options))
    assert [finding for finding in found if finding.level == "error"] == []


def put(path: str, value: Any, document: int = 0) -> Damage:
    """Sets what lies at a path of keys and numbers, such as `root/dag/tasks`."""

    def damage(documents: Documents) -> None:
        *inner, last = path.split("/")
        place: Any = documents[document]
        for key in inner:
            place = place[int(key) if key.isdigit() else key]
        key = int(last) if isinstance(place, list) else last
        if value is GONE:
            del place[key]
        else:
            place[key] = value

    return damage


GONE = object()
EXECUTORS = "deploymentSpec/executors"


def config(path: str, value: Any) -> Damage:
    return put(f"platforms/kubernetes/deploymentSpec/executors/{path}", value, document=1)


def workspace(path: str, value: Any) -> Damage:
    return put(f"platforms/kubernetes/pipelineConfig/{path}", value, document=1)


def container(path: str, value: Any, label: str = "exec-add") -> Damage:
    return put(f"{EXECUTORS}/{label}/container/{path}", value)


def constant(value: Any) -> dict[str, Any]:
    return {"runtimeValue": {"constant": value}}


def twice(documents: Documents) -> None:
    documents.append(copy.deepcopy(documents[0]))


def large(documents: Documents) -> None:
    documents[0]["pipelineInfo"]["description"] = "x" * 33 * 2**20


def no_platform_twice(documents: Documents) -> None:
    documents.append(copy.deepcopy(documents[1]))


ITEMS = "pipelinechannel--names"
EXITS = "components/comp-exit-handler-1/dag/tasks/for-loop-3"
ADD = "root/dag/tasks/add/inputs/parameters"
OF_ADD = "tasks.add.inputs.parameters"


def loop_over(kind: str, default: Any) -> Damage:
    """Makes the list that `loops` loops over a parameter of another type."""

    def damage(documents: Documents) -> None:
        put(
            "root/inputDefinitions/parameters/names",
            {
                "parameterType": kind,
                "defaultValue": default,
                "isOptional": True,
            },
        )(documents)
        put(f"components/comp-for-loop-1/inputDefinitions/parameters/{ITEMS}/parameterType", kind)(
            documents
        )

    return damage  # fmt: skip


# Pipeline, what is done to it, where the finding is, what it says.
FAULTS: dict[str, tuple[str, Damage, str, str]] = {
    # A: fields and types
    "field": ("gpus", put("sdkVersions", "x"), "sdkVersions", "did you mean 'sdkVersion'"),
    "field of a task": (
        "exits", put("root/dag/tasks/add-2/cachingOption", {}),
        "root.dag.tasks.add-2.cachingOption", "did you mean 'cachingOptions'"),
    "field of an executor": (
        "gpus", container("imagePullPolicy", "Always"), "container.imagePullPolicy", "unknown"),
    "field of the platform": (
        "pods", config("exec-add/emptyDirMount", []), "exec-add.emptyDirMount", "emptyDirMounts"),
    "type of a field": (
        "gpus", container("image", 7), "exec-add.container.image", "is a number"),
    "list for a mapping": ("gpus", put("root/dag/tasks", []), "root.dag.tasks", "is a list"),
    "choice made twice": (
        "claims", config("exec-add/pvcMount/0/constant", "x"), "pvcMount[0]", "exclude each other"),
    "duration": (
        "retries", put("root/dag/tasks/add/retryPolicy/backoffDuration", "1m"),
        "retryPolicy.backoffDuration", "no duration"),
    "enumeration": (
        "add", put("components/comp-add/inputDefinitions/parameters/a/parameterType", "INT"),
        "parameters.a.parameterType", "unknown value"),
    "platform": (
        "pods", put("platforms/slurm", {}, document=1), "platforms", "unknown platform 'slurm'"),
    "two pipelines": ("add", twice, "file", "2 pipelines"),
    "two platforms": ("pods", no_platform_twice, "file", "2 platform documents"),
    # B: names
    "name": ("add", put("pipelineInfo/name", "My_Pipe"), "pipelineInfo.name", "'My_Pipe'"),
    "long name": ("add", put("pipelineInfo/name", "x" * 129), "pipelineInfo.name", "no name"),
    "schema": ("add", put("schemaVersion", "2.0.0"), "schemaVersion", "'2.0.0'"),
    # C: sizes
    "size": ("add", large, "size", "an upload may have"),
    "size for Argo": (
        "add", put("pipelineInfo/description", "x" * 800_000), "size", "Argo takes about"),
    # Wiring
    "no component": (
        "exits", put("root/dag/tasks/add-2/componentRef/name", "comp-ad"),
        "tasks.add-2.componentRef", "did you mean 'comp-add'"),
    "no executor": (
        "add", put("components/comp-add/executorLabel", "exec-ad"),
        "comp-add.executorLabel", "no executor 'exec-ad'"),
    "options of no executor": (
        "pods", config("exec-nothing", {}), "executors.exec-nothing", "no executor"),
    "dependency": (
        "exits", put("root/dag/tasks/tell/dependentTasks", ["exit"]),
        "tasks.tell.dependentTasks", "waits for 'exit'"),
    "circle": (
        "exits", put("root/dag/tasks/add-2/dependentTasks", ["say"]), "root.dag.tasks",
        "wait for each other"),
    "producer": (
        "imports",
        put("root/dag/tasks/train/inputs/artifacts/data/taskOutputArtifact/producerTask", "imp"),
        "tasks.train.inputs.artifacts.data", "comes from 'imp'"),
    "output": (
        "imports",
        put("root/dag/tasks/train/inputs/artifacts/data/taskOutputArtifact/outputArtifactKey", "x"),
        "tasks.train.inputs.artifacts.data", "no output 'x'"),
    "not waited for": (
        "imports", put("root/dag/tasks/train/dependentTasks", []),
        "tasks.train.inputs.artifacts.data", "does not wait for it"),
    "input of the group": (
        "imports",
        put("root/dag/tasks/importer/inputs/parameters/uri/componentInputParameter", "url"),
        "tasks.importer.inputs.parameters.uri", "did you mean 'uri'"),
    "input not passed": (
        "imports", put("root/dag/tasks/importer/inputs/parameters", {}),
        "tasks.importer.inputs", "needs the input 'uri'"),
    "input not declared": (
        "values", put("root/dag/tasks/say/inputs/parameters/txt", constant("x")),
        "tasks.say.inputs.parameters.txt", "no input 'txt'"),
    "output of a group": (
        "branches",
        put("components/comp-condition-2/dag/outputs/parameters/"
            "pipelinechannel--say-Output/valueFromParameter/producerSubtask", "said"),
        "comp-condition-2.dag.outputs", "comes from 'said'"),
    "one of the outputs": (
        "branches",
        put("components/comp-condition-branches-1/dag/outputs/parameters/"
            "pipelinechannel--condition-branches-1-oneof-1/valueFromOneof/parameterSelectors/1/"
            "outputParameterKey", "said"),
        "comp-condition-branches-1.dag.outputs", "no output 'said'"),
    "condition": (
        "nested",
        put("root/dag/tasks/condition-1/triggerPolicy/condition",
            "int(inputs.parameter_values['pipelinechannel--row']) > 1"),
        "condition-1.triggerPolicy.condition", "'pipelinechannel--row'"),
    "parameter of a text": (
        "values",
        put("root/dag/tasks/say/inputs/parameters/text",
            constant("{{$.inputs.parameters['pipelinechannel--texts']}}")),
        "tasks.say.inputs.parameters.text", "'pipelinechannel--texts'"),
    "parameter of an accelerator": (
        "gpus",
        container("resources/accelerator/resourceCount",
                  "{{$.inputs.parameters['pipelinechannel--gpus']}}"),
        "exec-add.container.resources.accelerator.resourceCount", "'pipelinechannel--gpus'"),
    "number for a text of the pod": (
        "gpus", put("root/inputDefinitions/parameters/count",
                    {"parameterType": "NUMBER_INTEGER", "defaultValue": 1, "isOptional": True}),
        "exec-add.container.resources.accelerator.resourceCount", "of type NUMBER_INTEGER"),
    "parameter of options": (
        "nodes",
        config("exec-add-2/nodeSelector/nodeSelectorJson/componentInputParameter", "selector"),
        "exec-add-2.nodeSelector.nodeSelectorJson", "has no input 'selector'"),
    "producer of options": (
        "claims",
        config("exec-add/pvcMount/0/pvcNameParameter/taskOutputParameter/producerTask", "made"),
        "exec-add.pvcMount[0].pvcNameParameter", "comes from 'made'"),
    "items of a loop": (
        "loops", put("root/dag/tasks/for-loop-1/parameterIterator/items/inputParameter", "name"),
        "for-loop-1.parameterIterator.items", "'name'"),
    "recursion": (
        "nested", put("components/comp-inner/dag/tasks/add/componentRef/name", "comp-inner"),
        "components.comp-inner", "contains itself"),
    "default of another type": (
        "add", put("root/inputDefinitions/parameters/a/defaultValue", "3"),
        "parameters.a.defaultValue", "is of type str"),
    # Types
    "text for a number": (
        "values", put("root/inputDefinitions/parameters/whole/parameterType", "STRING"),
        f"root.dag.{OF_ADD}.a", "is STRING, but the component wants NUMBER_INTEGER"),
    "real for a whole number": (
        "values", put("root/inputDefinitions/parameters/whole/parameterType", "NUMBER_DOUBLE"),
        f"{OF_ADD}.a", "is NUMBER_DOUBLE, but the component wants NUMBER_INTEGER"),
    "output of another type": (
        "values",
        put("components/comp-several-2/outputDefinitions/parameters/count/parameterType", "STRING"),
        f"{OF_ADD}.b", "is STRING, but the component wants NUMBER_INTEGER"),
    "item of another type": (
        "exits",
        put("components/comp-for-loop-3/inputDefinitions/parameters/"
            "pipelinechannel--loop-item-param-2/parameterType", "STRING"),
        f"comp-for-loop-3.dag.{OF_ADD}.a", "is STRING, but the component wants NUMBER_INTEGER"),
    "group of another type": (
        "loops",
        put("components/comp-for-loop-1/inputDefinitions/parameters/pipelinechannel--rows/"
            "parameterType", "BOOLEAN"),
        "tasks.make.inputs.parameters.rows", "is BOOLEAN, but the component wants NUMBER_INTEGER"),
    "text as constant": ("values", put(f"{ADD}/a", constant("three")), f"{OF_ADD}.a", "type str"),
    "real as constant": ("values", put(f"{ADD}/a", constant(1.5)), f"{OF_ADD}.a", "type float"),
    "text with a placeholder": (
        "values",
        put(f"{ADD}/a", constant("{{$.inputs.parameters['pipelinechannel--whole']}}")),
        f"{OF_ADD}.a", "is of type str"),
    "text for a list": (
        "values", put("root/dag/tasks/several/inputs/parameters/many", constant("x")),
        "tasks.several.inputs.parameters.many", "is of type str"),
    "loop over a text": (
        "loops", loop_over("STRING", "a"), "for-loop-1.parameterIterator.items.inputParameter",
        "the parameter 'names' of type STRING, which is no list"),
    "loop over a text of JSON": (
        "loops", loop_over("STRING", '["a"]'), "for-loop-1.parameterIterator.items.inputParameter",
        "which works only while it holds a JSON list"),
    "loop over a number": (
        "loops", loop_over("NUMBER_INTEGER", 3), "for-loop-1.parameterIterator.items",
        "of type NUMBER_INTEGER"),
    "items that are no JSON": (
        "exits", put(f"{EXITS}/parameterIterator/items/raw", "[1, 2"), "items.raw", "no JSON list"),
    "items that are no list": (
        "exits", put(f"{EXITS}/parameterIterator/items/raw", '{"a": 1}'), "items.raw",
        "no JSON list"),
    "items of another type": (
        "exits", put(f"{EXITS}/parameterIterator/items/raw", '[1, "b"]'), "items.raw[1]",
        "is of type str"),
    # E: what the server cannot compile
    "no access modes": (
        "spaces", workspace("workspace/kubernetes", {}), "pvcSpecPatch.accessModes", "is missing"),
    "key of a patch": (
        "spaces", workspace("workspace/kubernetes/pvcSpecPatch/volumeName", "x"),
        "pvcSpecPatch.volumeName", "refuses 'volumeName'"),
    "storage class": (
        "spaces", workspace("workspace/kubernetes/pvcSpecPatch/storageClassName", ""),
        "pvcSpecPatch.storageClassName", "no name of a storage class"),
    "access mode": (
        "spaces", workspace("workspace/kubernetes/pvcSpecPatch/accessModes", ["RWX"]),
        "accessModes", "unknown mode 'RWX'"),
    "size of a workspace": (
        "spaces", workspace("workspace/size", "5 GB"), "workspace.size", "'5 GB'"),
    "workspace without one": (
        "spaces", workspace("workspace", GONE), "pipelineConfig.workspace", "has none"),
    "time to live": (
        "spaces", workspace("resourceTtlOnCompletion", -1), "resourceTtlOnCompletion", "negative"),
    "root while non-root": (
        "pods", config("exec-add/securityContext/runAsUser", "0"), "runAsUser", "which is root"),
    "root": (
        "pods", config("exec-add/securityContext", {"runAsUser": "0"}), "runAsUser",
        "is 0, which is root"),
    # F: what fails in the pod
    "too much /dev/shm": (
        "pods", container("resources", {"resourceMemoryLimit": "4Gi"}),
        "emptyDirMounts[0].sizeLimit", "8Gi is more than the memory limit 4Gi"),
    "too much shared memory": (
        "gpus", lambda documents: documents.append({"platforms": {"kubernetes": {"deploymentSpec": {
            "executors": {"exec-add-3": {
                "enabledSharedMemory": {"size": "3Gi", "volumeName": "shm"}}}}}}}),
        "enabledSharedMemory.size", "3Gi is more than the memory limit 2Gi"),
    "no image": ("add", container("image", ""), "container.image", "is no image"),
    "bad image": ("add", container("image", "Reg/Image:1"), "container.image", "is no image"),
    "latest": ("add", container("image", "r/i:latest"), "container.image", "tag latest moves"),
    "untagged": ("add", container("image", "r:5000/i"), "container.image", "without a tag"),
    "digest": ("add", container("image", "r/i@sha256:12"), "container.image", "damaged digest"),
    "limit without type": (
        "gpus", container("resources/accelerator", {"resourceCount": "1"}, "exec-add-2"),
        "resources.accelerator", "a limit without a type"),
    "deprecated gpu limit": (
        "gpus", container("resources/accelerator", {"count": "1"}, "exec-add-2"),
        "resources.accelerator", "a limit without a type"),
    "type without limit": (
        "gpus", container("resources/accelerator", {"resourceType": "nvidia.com/gpu"}),
        "resources.accelerator", "a type without a limit"),
    "type": (
        "gpus", container("resources/accelerator/resourceType", "A100", "exec-add-2"),
        "accelerator.resourceType", "'A100'"),
    "half a GPU": (
        "gpus", container("resources/accelerator/resourceCount", "0.5", "exec-add-2"),
        "accelerator.resourceCount", "'0.5'"),
    "request over limit": (
        "gpus", container("resources/resourceMemoryRequest", "4Gi", "exec-add-3"),
        "resources memory", "request 4Gi, limit 2Gi"),
    "quantity": (
        "gpus", container("resources/resourceMemoryLimit", "16 GB", "exec-add-3"),
        "resources memory", "'16 GB' is no Kubernetes quantity"),
    "variable": (
        "retries", container("env/0/name", "2-LEVEL"), "env[0].name", "no name of a variable"),
    "variable twice": (
        "retries", container("env", [{"name": "A", "value": "1"}] * 2), "container.env", "A twice"),
    "relative mount": (
        "pods", config("exec-add/emptyDirMounts/1/mountPath", "scratch"),
        "emptyDirMounts[1].mountPath", "'scratch'"),
    "two mounts": (
        "pods", config("exec-add/emptyDirMounts/1/mountPath", "/dev/shm/"),
        "emptyDirMounts[1].mountPath", "mounted twice"),
    "sub path": (
        "claims", config("exec-add/pvcMount/1/subPath", "../all"), "subPath", "leaves the volume"),
    "volume": (
        "pods", config("exec-add/emptyDirMounts/0/volumeName", "Dev_Shm"),
        "emptyDirMounts[0].volumeName", "'Dev_Shm'"),
    "two volumes": (
        "pods", config("exec-add/emptyDirMounts/1/volumeName", "dshm"), "volumeName", "twice"),
    "claim": (
        "claims",
        config("exec-add/pvcMount/1",
               {"mountPath": "/d", "pvcNameParameter": constant("My_Claim")}),
        "pvcMount[1]", "no name of a claim"),
    "secret's name": (
        "secrets", config("exec-add/secretAsVolume/0/secretName", "My_Secret"),
        "secretAsVolume[0]", "no name of a Secret"),
    "config map's name": (
        "secrets", config("exec-add/configMapAsVolume/0/configMapName", "my map"),
        "configMapAsVolume[0]", "no name of a ConfigMap"),
    "pull secret's name": (
        "secrets", config("exec-add/imagePullSecret/0", {"secretName": "A/b"}),
        "imagePullSecret[0]", "no name of a Secret"),
    "variable of a secret": (
        "secrets", config("exec-add/secretAsEnv/0/keyToEnv/0/envVar", "MY DSN"),
        "secretAsEnv[0].keyToEnv[0].envVar", "no name of a variable"),
    "variable of a secret twice": (
        "secrets", config("exec-add/configMapAsEnv/0/keyToEnv/0/envVar", "DSN"),
        "configMapAsEnv[0].keyToEnv[0].envVar", "set twice"),
    "field path": (
        "secrets", config("exec-add/fieldPathAsEnv/0/fieldPath", "spec.node"),
        "fieldPathAsEnv[0].fieldPath", "'spec.node'"),
    "label": (
        "pods", config("exec-add/podMetadata/labels", {"a b": "c"}), "podMetadata.labels", "'a b'"),
    "value of a label": (
        "pods", config("exec-add/podMetadata/labels", {"a": "b c"}), "labels.a", "none of a label"),
    "node selector": (
        "nodes", config("exec-add/nodeSelector/labels", {"a/b/c": "d"}),
        "nodeSelector", "'a/b/c'"),
    "node selector as JSON": (
        "nodes", config("exec-add-3/nodeSelector/nodeSelectorJson", constant({"a": "b c"})),
        "nodeSelector.a", "'b c'"),
    "operator of a toleration": (
        "nodes", config("exec-add/tolerations/0/operator", "Is"), "operator", "operator 'Is'"),
    "effect of a toleration": (
        "nodes", config("exec-add/tolerations/0/effect", "Never"), "effect", "effect 'Never'"),
    "toleration as JSON": (
        "nodes",
        config("exec-add-3/tolerations/0/tolerationJson",
               constant([{"key": "a", "operator": "Exists", "value": "b"}])),
        "tolerations[0].value", "no meaning with Exists"),
    "operator of an affinity": (
        "nodes", config("exec-add/nodeAffinity/0/matchExpressions/0/operator", "Is"),
        "matchExpressions[0].operator", "operator 'Is'"),
    "affinity as JSON": (
        "nodes",
        config("exec-add-3/nodeAffinity/0/nodeAffinityJson/runtimeValue/constant/"
               "preferredDuringSchedulingIgnoredDuringExecution/0/preference/matchExpressions/0/"
               "values", []),
        "nodeAffinity[0].nodeAffinityJson.values", "are missing"),
    "weight": ("nodes", config("exec-add/nodeAffinity/0/weight", 200), "weight", "200"),
    "medium": (
        "pods", config("exec-add/emptyDirMounts/0/medium", "RAM"), "medium", "medium 'RAM'"),
    "size of an emptyDir": (
        "pods", config("exec-add/emptyDirMounts/0/sizeLimit", "8gb"), "sizeLimit", "'8gb'"),
    "size of a volume": (
        "pods", config("exec-add/genericEphemeralVolume/0/size", "1 T"), "size", "'1 T'"),
    "size of a claim": (
        "claims", put("root/dag/tasks/createpvc/inputs/parameters/size", constant("much")),
        "createpvc.inputs.parameters.size", "'much'"),
    "negative retries": (
        "retries", put("root/dag/tasks/add/retryPolicy/maxRetryCount", -1),
        "retryPolicy.maxRetryCount", "negative"),
    "negative duration": (
        "retries", put("root/dag/tasks/add/retryPolicy/backoffDuration", "-60s"),
        "retryPolicy.backoffDuration", "negative"),
    "timeout": (
        "retries", config("exec-add/activeDeadlineSeconds", "-5"), "activeDeadlineSeconds", "-5"),
    "pull policy": (
        "secrets", config("exec-add/imagePullPolicy", "Sometimes"), "imagePullPolicy", "Sometimes"),
    "placeholder in a default": (
        "values", put("root/inputDefinitions/parameters/text/defaultValue", "{{$.x}}"),
        "parameters.text.defaultValue", "'{{$'"),
    "placeholder in a constant": (
        "branches",
        put("components/comp-condition-2/dag/tasks/say/inputs/parameters/text", constant("a {{$")),
        "say.inputs.parameters.text", "'{{$'"),
    "placeholder in an argument": (
        "containers", container("args/0", "{{$.input.parameters['text']}}", "exec-shell"),
        "exec-shell.container.args[0]", "'{{$'"),
}  # fmt: skip


def named(findings: list[Finding], where: str, what: str) -> list[Finding]:
    return [f for f in findings if where in f.where and what in f.what]


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault(fault: str) -> None:
    name, damage, where, what = FAULTS[fault]
    sound = reference(name)
    documents = copy.deepcopy(sound)
    damage(documents)
    assert documents != sound
    found = lint_pipeline(documents)
    assert named(found, where, what), [str(finding) for finding in found]
    assert all(finding.mend for finding in found)
    assert lint_pipeline(sound) == []


def test_there_are_enough_faults() -> None:
    assert len(FAULTS) >= 60


def test_all_findings_come_at_once() -> None:
    documents = copy.deepcopy(reference("pods"))
    for fault in ("volume", "medium", "label", "root while non-root", "relative mount"):
        FAULTS[fault][1](documents)
    assert len(lint_pipeline(documents)) >= 5


def test_an_accelerator_parameter_in_a_loop_that_kfp_forgets_is_found() -> None:
    @dsl.pipeline(name="forgotten")
    def forgotten(count: int = 1):
        with dsl.ParallelFor([1, 2]) as number:
            task = add(a=number)
            task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(count)

    found = lint_pipeline(compiled(forgotten))
    [finding] = named(found, "comp-for-loop", "'pipelinechannel--count'")
    assert "kfp forgets" in finding.mend


def test_an_exit_handler_around_nothing_is_found() -> None:
    @dsl.pipeline(name="nothing")
    def nothing():
        with dsl.ExitHandler(tell()):
            pass

    assert named(lint_pipeline(compiled(nothing)), "dag.tasks", "empty ExitHandler")


def test_a_loop_over_artifacts_is_found() -> None:
    @component
    def look(data: dsl.Input[dsl.Dataset]):
        print(data.uri)

    @dsl.pipeline(name="artifacts")
    def artifacts(several: dsl.Input[list[dsl.Dataset]]):
        with dsl.ParallelFor(several) as one:
            look(data=one)

    assert named(lint_pipeline(compiled(artifacts)), "artifactIterator", "list of artifacts")


def test_what_the_sdk_lets_through_is_found() -> None:
    @dsl.pipeline(name="careless")
    def careless():
        add().set_retry(-1).set_accelerator_limit(2)
        add().set_env_variable("a b", "c").set_container_image("image")

    text = "\n".join(map(str, lint_pipeline(compiled(careless))))
    for expected in ("is negative", "a limit without a type", "'a b'", "image is not pinned"):
        assert expected in text, expected


def test_a_project_that_is_built_with_a_moving_image_is_found() -> None:
    documents = compiled(build("action_recognition", BuildOptions()))
    for executor in documents[0]["deploymentSpec"]["executors"].values():
        executor["container"]["image"] = "trainyard/trainyard-torch"
    assert len(lint_pipeline(documents)) == len(documents[0]["deploymentSpec"]["executors"])
