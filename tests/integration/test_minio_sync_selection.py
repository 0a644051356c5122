"""Clips of chosen sources and classes from a real bucket, through a proxy that notes requests."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clips import make_clips
from proxy import Proxy, running_proxy
from servers import S3Server

from components.core.artifacts.clips import ClipDataset
from components.core.errors import ProblemsError
from components.core.settings import build
from components.dataset_sync.stage import STAGE, SyncSettings

CLIPS = [
    "kitchen/eating_soup/1.mp4", "kitchen/eating_bread/1.mp4", "kitchen/drinking_tea/1.mp4",
    "office/eating_rice/1.mp4", "office/typing/1.mp4", "hall/walking/1.mp4",
]  # fmt: skip


class Project:
    """A bucket of three sources, a proxy before it, and a state directory."""

    def __init__(self, bucket: str, proxy: Proxy, folder: Path) -> None:
        self.bucket, self.proxy, self.folder = bucket, proxy, folder
        self.runs = 0

    def sync(self, **settings: Any) -> dict[str, str]:
        """Clip → label of a new snapshot."""
        self.runs += 1
        self.proxy.requests.clear()
        out = self.folder / f"out{self.runs}"
        values = {
            "source": f"s3://{self.bucket}/set", "layout": "sources",
            "class_rule": "first_underscore", "workers": 1,
        }  # fmt: skip
        built = build(SyncSettings, {**values, **settings})
        STAGE.execute(built, {}, {"clips": out}, self.folder / "state")
        return {clip.id: clip.labels[0] for clip in ClipDataset.load(out).clips}

    def fetched(self) -> list[str]:
        prefix = f"GET /{self.bucket}/set/"
        return sorted(r.removeprefix(prefix) for r in self.proxy.requests if prefix in r)

    def listed(self) -> str:
        """All listings of the last run, as one text."""
        return "\n".join(request for request in self.proxy.requests if "prefix=" in request)


@pytest.fixture
def project(
    minio: S3Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    local = make_clips(tmp_path / "local", *CLIPS)
    for name in CLIPS:
        minio.client().fput_object(bucket, f"set/{name}", str(local / name))
    with running_proxy(minio.endpoint.removeprefix("http://")) as proxy:
        monkeypatch.setenv("TRAINYARD_S3_ENDPOINT", f"http://{proxy.address}")
        yield Project(bucket, proxy, tmp_path)


def test_only_chosen_sources_are_listed_and_only_chosen_classes_fetched(project: Project) -> None:
    chosen = {"sources": ["kitchen", "office"], "classes": ["Eating"]}
    eating = [name for name in sorted(CLIPS) if "eating" in name]
    assert project.sync(**chosen) == dict.fromkeys(eating, "Eating")
    assert project.fetched() == eating
    assert "kitchen%2F" in project.listed()
    assert "hall" not in project.listed()
    recursive = [line for line in project.listed().splitlines() if "delimiter=&" in line]
    assert recursive
    assert not [line for line in recursive if "prefix=set%2F&" in line]

    others = project.sync(**chosen, other_class="Other")
    assert others == {
        "kitchen/drinking_tea/1.mp4": "Other",
        "office/typing/1.mp4": "Other",
        **dict.fromkeys(eating, "Eating"),
    }
    assert project.fetched() == ["kitchen/drinking_tea/1.mp4", "office/typing/1.mp4"]
    assert len(project.sync()) == len(CLIPS)
    assert project.fetched() == ["hall/walking/1.mp4"]
    assert project.sync(**chosen) == dict.fromkeys(eating, "Eating")
    assert project.fetched() == []


def test_sources_that_the_bucket_lacks_are_named_by_the_check(project: Project) -> None:
    with pytest.raises(ProblemsError) as raised:
        project.sync(sources=["kitchens", "office", "Hall"])
    told = str(raised.value)
    assert f"source: 2 problems in sources (s3://{project.bucket}/set)" in told
    assert "there is no 'kitchens'; did you mean 'kitchen'?" in told
    assert "there is no 'Hall'; did you mean 'hall'?" in told
    assert "the sources that there are: hall, kitchen, office" in told
    assert project.fetched() == []
