"""The object store of manifests/: a real MinIO as its pod, and the Job that prepares it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml
from kubernetes_cluster import Cluster, wait_until
from kustomized import pod_templates
from placed_manifests import ROOT, Place, placed
from servers import absent, free_port, server_binary

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def place(cluster: Cluster) -> Iterator[Place]:
    with placed(cluster, "dev") as place:
        yield place


def test_the_object_store_serves_and_its_job_makes_buckets(place: Place) -> None:
    """A pod of the StatefulSet with a real MinIO in the image's place, then the Job against it."""
    from minio import Minio
    from minio.error import S3Error

    binary = server_binary("minio")
    if not binary.is_file():
        absent(f"no MinIO server in {binary.parent}; `sh tests/build_servers.sh` builds it")
    [space] = place.names.values()
    api, host = place.cluster.api, f"127.0.0.1:{free_port()}"
    for name, data in store_secrets(f"http://{host}").items():
        body = {"metadata": {"name": name}, "stringData": data}
        api("POST", f"/api/v1/namespaces/{space}/secrets", body)
    serve(place, binary, host)
    wanted = [d for d in place.documents if d["metadata"]["name"] == "trainyard-buckets"]
    assert [d["kind"] for d in wanted] == ["ConfigMap", "Job"]
    jobs = f"/apis/batch/v1/namespaces/{space}/jobs"
    for _ in range(2):
        done = place.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(wanted))
        assert done.returncode == 0, done.stderr
        end = wait_until(lambda: ended(api("GET", f"{jobs}/trainyard-buckets")), "the Job", 60)
        assert end == "Complete"
        api("DELETE", f"{jobs}/trainyard-buckets", {"propagationPolicy": "Background"})
        wait_until(lambda: not api.find(f"{jobs}/trainyard-buckets"), "its end", 90)
    Minio(host, "admin", "administrators", secure=False).make_bucket("other")
    client = Minio(host, "trainyard", "of-the-steps", secure=False)
    for bucket in ("trainyard", "models"):
        client.fput_object(bucket, "file", str(ROOT / "LICENSE"))
        assert [o.object_name for o in client.list_objects(bucket)] == ["file"]
        client.remove_object(bucket, "file")
    for refused in (
        lambda: client.make_bucket("new"),
        lambda: list(client.list_objects("other")),
        lambda: client.remove_bucket("trainyard"),
    ):
        with pytest.raises(S3Error, match="Access"):
            refused()


def store_secrets(endpoint: str) -> dict[str, dict[str, str]]:
    return {
        "trainyard-servers": {
            "MINIO_ROOT_USER": "admin", "MINIO_ROOT_PASSWORD": "administrators",
        },
        "trainyard-s3": {
            "TRAINYARD_S3_ENDPOINT": endpoint,
            "TRAINYARD_S3_ACCESS_KEY": "trainyard", "TRAINYARD_S3_SECRET_KEY": "of-the-steps",
        },
    }  # fmt: skip


def serve(place: Place, binary: Path, host: str) -> None:
    """Starts a pod as the object store's StatefulSet does; returns when its probe succeeds."""
    [document] = [
        document
        for document, _ in pod_templates(place.documents)
        if document["metadata"]["name"] == "trainyard-minio"
    ]
    [claim], template = document["spec"]["volumeClaimTemplates"], document["spec"]["template"]
    name = f"{claim['metadata']['name']}-trainyard-minio-0"
    volume = {"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": name}}
    spec = {**template["spec"], "volumes": [*template["spec"]["volumes"], volume]}
    [container] = spec["containers"]
    assert container["command"] == ["minio"]
    args = [host if argument == ":9000" else argument for argument in container["args"]]
    assert host in args
    spec["containers"] = [{**container, "command": [str(binary)], "args": args}]
    [space] = place.names.values()
    pod = {"metadata": {"name": "trainyard-minio-0", **template["metadata"]}, "spec": spec}
    core = f"/api/v1/namespaces/{space}"
    place.cluster.api(
        "POST", f"{core}/persistentvolumeclaims", {**claim, "metadata": {"name": name}}
    )
    place.cluster.api("POST", f"{core}/pods", pod)
    probe = f"http://{host}{container['readinessProbe']['httpGet']['path']}"

    def ready() -> bool:
        try:
            return urllib3.request("GET", probe, timeout=2, retries=False).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    wait_until(ready, "the object store", 120)


def ended(job: dict[str, Any]) -> str:
    held = [c["type"] for c in job["status"].get("conditions", []) if c["status"] == "True"]
    return next((kind for kind in held if kind in ("Complete", "Failed")), "")
