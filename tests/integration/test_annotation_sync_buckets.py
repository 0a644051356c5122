"""annotation_sync with annotations and images in a bucket of a real object store."""

from pathlib import Path

import pytest
from labelled_images import picture, rectangle
from minio import Minio
from servers import S3Server
from synced_annotations import sync, write_coco

from components.core.errors import InputError
from components.core.formats import yolo
from components.core.formats.shapes import AnnotatedImage


@pytest.fixture
def client(minio: S3Server) -> Minio:
    return minio.client()


def source(folder: Path) -> list[AnnotatedImage]:
    images = []
    for name in ("north/1.png", "north/2.png", "south/1.png"):
        path = picture(folder / "images" / name)
        path.write_bytes(path.read_bytes() + name.encode())
        shapes = [rectangle("weed", 1, 2, 30, 40)]
        images.append(AnnotatedImage(name, 100, 80, shapes, task=name.partition("/")[0]))
    picture(folder / "images" / "unlabelled.png")
    return images


def upload(client: Minio, bucket: str, folder: Path, prefix: str) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            key = f"{prefix}/{path.relative_to(folder).as_posix()}"
            client.fput_object(bucket, key, str(path))


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


@pytest.mark.parametrize("ending", ["", "/annotations.json"])
def test_annotations_with_their_images(
    tmp_path: Path,
    client: Minio,
    bucket: str,
    ending: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_coco(tmp_path / "source", source(tmp_path / "source"), ["weed"])
    upload(client, bucket, tmp_path / "source", "fields/a")
    url = f"s3://{bucket}/fields/a{ending}"
    found = sync(tmp_path, annotations=url, classes=["weed"])
    local = sync(tmp_path, annotations=str(tmp_path / "source"), classes=["weed"])
    assert found.index.fingerprint == local.index.fingerprint
    assert (found.index.source, found.problems) == (url, [])
    text = said(capsys)
    assert f"1 file of s3://{bucket}/fields/a: 1 fetched" in text
    assert f"3 files of s3://{bucket}/fields/a: 3 fetched" in text
    assert "1 image of" in text
    assert "that no chosen annotation names stay there" in text
    again = sync(tmp_path, annotations=url, classes=["weed"])
    assert again.index.fingerprint == found.index.fingerprint
    text = said(capsys)
    assert f"1 file of s3://{bucket}/fields/a: 0 fetched, 1 here already" in text
    assert f"3 files of s3://{bucket}/fields/a: 0 fetched, 3 here already" in text
    other = sync(tmp_path, annotations=url, tasks=["north"])
    assert [*other.images] == ["north/1.png", "north/2.png"]
    assert "2 here already (2 of them from runs with other settings)" in said(capsys)
    picture(tmp_path / "source" / "images" / "north" / "1.png", 90, 80)
    upload(client, bucket, tmp_path / "source" / "images" / "north", "fields/a/images/north")
    client.remove_object(bucket, "fields/a/images/south/1.png")
    changed = sync(tmp_path, annotations=url, classes=["weed"])
    assert [p["kind"] for p in changed.problems] == ["size", "missing_image"]
    assert changed.images["north/1.png"].width == 90
    # What was written before has not changed.
    assert {*found.images} == {"north/1.png", "north/2.png", "south/1.png"}
    assert all(i.path and i.path.stat().st_size for i in found.images.values())


def test_annotations_here_and_images_in_a_bucket(
    tmp_path: Path, client: Minio, bucket: str
) -> None:
    folder = tmp_path / "source"
    write_coco(folder, source(folder), ["weed"])
    upload(client, bucket, folder / "images", "share/fielddata")
    (folder / "images").rename(tmp_path / "away")
    found = sync(
        tmp_path,
        annotations=str(folder),
        images=f"s3://{bucket}/share",
        excluded_images=["south/1.png"],
    )
    assert [*found.images] == ["north/1.png", "north/2.png"]
    fetched = {path.name for path in (tmp_path / "state").rglob("work/fetched/**/*.png")}
    assert fetched == {"1.png", "2.png"}


def test_yolo_takes_all_images_of_its_folder(tmp_path: Path, client: Minio, bucket: str) -> None:
    folder = tmp_path / "source"
    yolo.write(folder, source(folder), ["weed"])
    upload(client, bucket, folder, "yolo")
    found = sync(tmp_path, annotations=f"s3://{bucket}/yolo")
    assert len(found.images) == 4
    assert [p["kind"] for p in found.problems] == ["no_entry"]


def test_a_bucket_without_annotations(tmp_path: Path, client: Minio, bucket: str) -> None:
    source(tmp_path / "source")
    upload(client, bucket, tmp_path / "source", "only")
    with pytest.raises(InputError, match=f"s3://{bucket}/only holds no annotation files"):
        sync(tmp_path, annotations=f"s3://{bucket}/only")
