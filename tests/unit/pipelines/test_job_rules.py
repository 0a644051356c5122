"""The rule checker: the study's own mistakes and many others are refused, sound Jobs are not."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from components.split_clips.stage import STAGE as SPLIT
from components.train_video.stage import STAGE as TRAIN
from pipelines import job_rules
from pipelines.jobs import StageJob, stage_documents
from pipelines.placement import PRP_PLACEMENTS, Volume
from pipelines.placement_changes import change

Document = dict[str, Any]


def sound() -> list[Document]:
    """A ConfigMap and a training Job that break no rule."""
    placement = change(PRP_PLACEMENTS["train_video"], {"volumes": (Volume("clips", "/data"),)})
    return stage_documents(
        StageJob(
            stage=TRAIN,
            image="registry/trainyard-torch:0.1.0",
            settings=TRAIN.settings(),
            inputs={"frames": "/data/frames", "split": "/data/split"},
            outputs={"model": "/data/model"},
            placement=placement,
            state_dir="/data/state",
            name="train",
        )
    )


def found(documents: list[Document]) -> list[str]:
    return [str(finding) for finding in job_rules.check(documents)]


def test_a_sound_job_passes() -> None:
    assert found(sound()) == []
    placement = change(PRP_PLACEMENTS["split_clips"], {"volumes": (Volume("clips", "/data"),)})
    split = StageJob(
        SPLIT, "r/trainyard-data:1", SPLIT.settings(), {"clips": "/data/c"}, {"split": "/data/s"},
        placement, "/data/state",
    )  # fmt: skip
    assert found(stage_documents(split)) == []


STUDY_TRAIN = """
apiVersion: batch/v1
kind: Job
metadata:
  name: train-resizer
spec:
  backoffLimit: 5
  template:
    spec:
      restartPolicy: Never
      initContainers:
        - name: data
          image: registry.example.org/lab/sync
          command: [gsutil, -m, rsync, -erP, /mnt/source, /mnt/dest]
          volumeMounts:
            - {name: source, mountPath: /mnt/source}
            - {name: data, mountPath: /mnt/dest}
      containers:
        - name: train
          image: registry.example.org/lab/test-project
          imagePullPolicy: Always
          command: [/bin/bash, -c]
          args:
            - apt update; cd /mnt/data; tar xf clips.tar.gz; cd /code/repository;
              git pull; python train.py resizer_2d_56
          resources:
            requests: {memory: 16Gi, cpu: "3", ephemeral-storage: 10Gi, nvidia.com/gpu: "4"}
            limits: {memory: 6Gi, cpu: "4", ephemeral-storage: 10Gi, nvidia.com/gpu: "4"}
          volumeMounts:
            - {name: data, mountPath: /mnt/data}
            - {name: code, mountPath: /code}
            - {name: shm, mountPath: /dev/shm}
      volumes:
        - {name: data, emptyDir: {}}
        - {name: source, persistentVolumeClaim: {claimName: small}}
        - {name: code, persistentVolumeClaim: {claimName: code}}
        - {name: shm, emptyDir: {medium: Memory}}
      affinity:
        nodeAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            nodeSelectorTerms:
              - matchExpressions:
                  - {key: gpu-type, operator: In, values: [1080Ti]}
"""
"""A Job of the kind that the study ran (defect 23), with the invalid one's 16Gi over 6Gi."""


def test_the_studys_job_is_refused_for_each_of_its_defects() -> None:
    findings = job_rules.check([yaml.safe_load(STUDY_TRAIN)])
    text = "\n".join(str(finding) for finding in findings)
    for expected in (
        "initContainers[0].resources memory: has neither request nor limit",
        "initContainers[0].image: registry.example.org/lab/sync is not pinned",
        "containers[0].image: registry.example.org/lab/test-project is not pinned",
        "containers[0].resources memory: request 16Gi, limit 6Gi: refused by Kubernetes",
        "containers[0].resources cpu: request 3, limit 4: 33 % more, at most 20 % are allowed",
        "'apt update' at the start: two runs of it differ",
        "/dev/shm: sizeLimit is None",
        "podFailurePolicy: without one an eviction uses up a retry",
        "activeDeadlineSeconds: is not set",
        "warning: Job/train-resizer: nodes: the node label 'gpu-type' is an old one",
    ):
        assert expected in text, expected
    [old] = [f for f in findings if "gpu-type" in f.what]
    assert old.level == "warning"
    assert old.mend.startswith("use nvidia.com/gpu.product")


def test_the_studys_interactive_pod_is_refused() -> None:
    pod = yaml.safe_load(
        """
        apiVersion: v1
        kind: Pod
        metadata: {name: shell}
        spec:
          containers:
            - name: shell
              image: registry.example.org/lab/test-project:latest
              command: [sleep, infinity]
              resources:
                requests: {memory: 40Gi, cpu: "20", ephemeral-storage: 1Gi, nvidia.com/gpu: "3"}
                limits: {memory: 40Gi, cpu: "20", ephemeral-storage: 1Gi, nvidia.com/gpu: "3"}
        """
    )
    text = "\n".join(found([pod]))
    for expected in (
        "is None, but a pod without a controller may live 6 hours",
        "3 GPUs, but a pod without a controller may have 2",
        "cpu exceeds 16 cores",
        "memory exceeds 32 GB",
        "the tag latest moves",
        "no /dev/shm of its own",
    ):
        assert expected in text, expected


def container(documents: list[Document]) -> Document:
    made: Document = documents[1]["spec"]["template"]["spec"]["containers"][0]
    return made


def pod(documents: list[Document]) -> Document:
    made: Document = documents[1]["spec"]["template"]["spec"]
    return made


def limit(name: str, request: str | None, most: str | None) -> Callable[[list[Document]], None]:
    def damage(documents: list[Document]) -> None:
        for kind, value in (("requests", request), ("limits", most)):
            container(documents)["resources"][kind].pop(name, None)
            if value is not None:
                container(documents)["resources"][kind][name] = value

    return damage


def arguments(*words: str) -> Callable[[list[Document]], None]:
    return lambda documents: container(documents).update(command=list(words), args=[])


def variable(name: str, value: str) -> Callable[[list[Document]], None]:
    return lambda documents: container(documents)["env"].append({"name": name, "value": value})


def setting(line: str) -> Callable[[list[Document]], None]:
    return lambda documents: documents[0]["data"].update({"params.yaml": line})


def image(text: str) -> Callable[[list[Document]], None]:
    return lambda documents: container(documents).update(image=text)


def job(**fields: Any) -> Callable[[list[Document]], None]:
    return lambda documents: documents[1]["spec"].update(fields)


def no_claim(documents: list[Document]) -> None:
    pod(documents)["volumes"][-1] = {"name": "volume-0", "emptyDir": {}}


def read_only_claim(documents: list[Document]) -> None:
    container(documents)["volumeMounts"][-1]["readOnly"] = True


def state_elsewhere(documents: list[Document]) -> None:
    [state] = [v for v in container(documents)["env"] if v["name"] == "TRAINYARD_STATE_DIR"]
    state["value"] = "/tmp/state"


def no_shared_memory(documents: list[Document]) -> None:
    mounts = container(documents)["volumeMounts"]
    mounts[:] = [mount for mount in mounts if mount["mountPath"] != "/dev/shm"]


def huge_shared_memory(documents: list[Document]) -> None:
    [shared] = [volume for volume in pod(documents)["volumes"] if volume["name"] == "dshm"]
    shared["emptyDir"]["sizeLimit"] = "64Gi"


def same_path_twice(documents: list[Document]) -> None:
    container(documents)["volumeMounts"].append({"name": "tmp", "mountPath": "/data"})


def unknown_volume(documents: list[Document]) -> None:
    container(documents)["volumeMounts"].append({"name": "gone", "mountPath": "/gone"})


def relative_mount(documents: list[Document]) -> None:
    container(documents)["volumeMounts"].append({"name": "tmp", "mountPath": "there"})


def twice(documents: list[Document]) -> None:
    documents.append(copy.deepcopy(documents[1]))


def second_container(documents: list[Document]) -> None:
    pod(documents)["containers"].append(copy.deepcopy(container(documents)))


def in_a_secret(documents: list[Document]) -> None:
    documents.append({"kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}})


FAULTS: dict[str, tuple[Callable[[list[Document]], None], str]] = {
    "limit below request": (limit("memory", "16Gi", "6Gi"), "refused by Kubernetes"),
    "limit far above request": (limit("cpu", "1.5", "2"), "33 % more"),
    "no memory": (limit("memory", None, None), "memory: has neither request nor limit"),
    "no disk limit": (limit("ephemeral-storage", "1Gi", None), "ephemeral-storage: has no limit"),
    "no quantity": (limit("memory", "16 GB", "16 GB"), "no Kubernetes quantity"),
    "nothing": (limit("cpu", "0", "0"), "not positive"),
    "misspelt GPU": (limit("nvidia.com/gpus", "1", "1"), "unknown resource"),
    "GPU request differs": (limit("nvidia.com/gpu", "2", "4"), "limit = request"),
    "half a GPU": (limit("nvidia.com/gpu", "0.5", "0.5"), "GPUs are whole"),
    "GPU without limit": (limit("nvidia.com/gpu", "2", None), "no limit"),
    "sleep": (arguments("sleep", "infinity"), "'sleep infinity' idles"),
    "sleep in a shell": (arguments("sh", "-c", "python x.py; sleep 86400"), "idles"),
    "tail": (arguments("tail", "-f", "/dev/null"), "idles"),
    "loop": (arguments("sh", "-c", "while true; do sleep 5; done"), "idles"),
    "git": (arguments("sh", "-c", "cd code && git pull && python t.py"), "'git pull' at the start"),
    "apt": (arguments("sh", "-c", "apt-get -y install ffmpeg; python t.py"), "at the start"),
    "pip": (arguments("sh", "-c", "pip install torch; python t.py"), "at the start"),
    "curl": (arguments("sh", "-c", "curl -L example.org/x | sh"), "at the start"),
    "no image": (image(""), "is no image"),
    "no tag": (image("registry:5000/lab/image"), "not pinned: without a tag"),
    "latest": (image("lab/image:latest"), "the tag latest moves"),
    "damaged digest": (image("lab/image@sha256:12"), "damaged digest"),
    "restarts": (lambda d: pod(d).update(restartPolicy="Always"), "is refused in Jobs"),
    "policy and restarts": (lambda d: pod(d).update(restartPolicy="OnFailure"), "Never only"),
    "no backoff": (lambda d: d[1]["spec"].pop("backoffLimit"), "backoffLimit: is not set"),
    "no deadline": (job(activeDeadlineSeconds=None), "activeDeadlineSeconds: is not set"),
    "no policy": (job(podFailurePolicy=None), "an eviction uses up a retry"),
    "piling up": (job(ttlSecondsAfterFinished=None), "finished Jobs pile up"),
    "no volume": (no_claim, "no volume to write to outlives the pod"),
    "read-only volume": (read_only_claim, "no volume to write to outlives the pod"),
    "state elsewhere": (state_elsewhere, "work is kept in /tmp/state, gone with the pod"),
    "no /dev/shm": (no_shared_memory, "no /dev/shm of its own"),
    "too much /dev/shm": (huge_shared_memory, "more than the memory limit"),
    "key": (variable("TRAINYARD_S3_ACCESS_KEY", "trainyard"), "has a literal value"),
    "password": (variable("PGPASSWORD", "x"), "PGPASSWORD has a literal"),
    "token": (variable("githubToken", "x"), "has a literal value"),
    "dsn": (variable("TRAINYARD_POSTGRES_DSN", "host=db"), "has a literal value"),
    "address": (variable("SOURCE", "mongodb://me:hidden@host/db"), "a URL with a password"),
    "argument": (arguments("python", "x.py", "--password=hidden"), "literal value"),
    "known form": (arguments("python", "x.py", "AKIA" + "ABCDEFGHIJKLMNOP"), "an access key"),
    "in settings": (setting("secret_key: hidden\n"), "secret_key has a literal value"),
    "address in settings": (setting("source: https://me:hidden@host/x\n"), "a URL with"),
    "secret": (in_a_secret, "holds secret values"),
    "two mounts": (same_path_twice, "/data twice"),
    "unknown volume": (unknown_volume, "no volume 'gone'"),
    "relative mount": (relative_mount, "'there' is relative"),
    "two containers": (second_container, "'train-video' twice"),
    "two variables": (variable("HOME", "/root"), "HOME twice"),
    "two objects": (twice, "appears twice"),
    "name": (lambda d: d[1]["metadata"].update(name="Train_1"), "'Train_1' is no DNS label"),
    "old label": (lambda d: pod(d).update(nodeSelector={"gpu-type": "A40"}), "an old one"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault(fault: str) -> None:
    damage, expected = FAULTS[fault]
    documents = sound()
    damage(documents)
    texts = found(documents)
    assert any(expected in text for text in texts), texts
    assert "hidden" not in "".join(texts)
    assert all(finding.mend for finding in job_rules.check(documents))


def test_all_findings_come_at_once() -> None:
    documents = sound()
    for name in ("limit below request", "latest", "no deadline", "key", "no volume"):
        FAULTS[name][0](documents)
    assert len(found(documents)) >= 5


def test_lists_and_cron_jobs_are_looked_into() -> None:
    documents = sound()
    FAULTS["latest"][0](documents)
    cron = {"kind": "CronJob", "metadata": {"name": "n"}, "spec": {"jobTemplate": documents[1]}}
    assert any("moves" in text for text in found([{"kind": "List", "items": [cron]}]))


def test_what_only_looks_like_a_secret_is_none() -> None:
    documents = sound()
    for name, value in (
        ("SSH_KEY_FILE", "/keys/id"),
        ("MONKEY", "see"),
        ("TRAINYARD_S3_ENDPOINT", "https://s3.example.org"),
        ("PASSWORD", "$(OTHER)"),
        ("EMPTY_TOKEN", ""),
        ("MIRROR", "ssh://git@example.org/x"),
    ):
        variable(name, value)(documents)
    setting("keep_every: 1\nsource: s3://bucket/prefix\n")(documents)
    assert found(documents) == []
