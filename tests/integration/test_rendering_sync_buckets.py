"""rendering_sync with exported sets in a bucket of a real object store."""

from pathlib import Path

import pytest
from minio import Minio
from rendered_scene import scene, synced
from servers import S3Server

from components.core.artifacts.renderings import RenderingDataset
from components.core.errors import InputError


def upload(client: Minio, bucket: str, folder: Path, prefix: str) -> None:
    for path in folder.rglob("*.*"):
        key = f"{prefix}/{path.relative_to(folder).as_posix()}"
        client.fput_object(bucket, key, str(path))


def test_sets_in_a_bucket_are_those_in_a_folder(
    tmp_path: Path, minio: S3Server, bucket: str
) -> None:
    client = minio.client()
    source = scene(tmp_path / "sets", frames=4, aux=1, sets=["a", "b"])
    upload(client, bucket, source, "exported/new")
    url = f"s3://{bucket}/exported/new"
    options = {"val_size": 1, "test_size": 1}
    found = RenderingDataset.load(synced(url, tmp_path / "remote", **options))
    local = RenderingDataset.load(synced(source, tmp_path / "local", **options))
    assert found.fingerprint == local.fingerprint
    assert found.source == url
    client.remove_object(bucket, "exported/new/a/groundtruth/Image0001.png")
    with pytest.raises(InputError, match="a/Image0001: no file in groundtruth"):
        synced(url, tmp_path / "again", **options)
