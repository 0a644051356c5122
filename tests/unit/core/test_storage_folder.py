"""A folder behind the storage interface."""

import errno
import os
from pathlib import Path

import pytest

from components.core import files
from components.core.errors import InputError, StoppedError
from components.core.storage import ChangedError, open_storage, read_file

SHA256_OF_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "a" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "a" / "one.bin").write_bytes(b"abc")
    (root / "a" / "deep" / "two.bin").write_bytes(b"")
    return root


def names(root: Path, folder: str = "") -> list[str]:
    return [item.name for item in open_storage(str(root)).items(folder)]


def test_lists_files_and_folders_in_any_depth(root: Path) -> None:
    assert names(root) == ["a/", "a/deep/", "a/deep/two.bin", "a/one.bin", "empty/"]
    assert names(root, "a/deep") == ["a/deep/two.bin"]
    assert names(root, "absent") == []
    item = next(i for i in open_storage(str(root)).items() if i.name == "a/one.bin")
    assert (item.size, item.tag) == (3, str((root / "a/one.bin").stat().st_mtime_ns))
    assert [i.name for i in open_storage(str(root)).items() if i.is_folder] == [
        "a/", "a/deep/", "empty/",
    ]  # fmt: skip


def test_links_are_followed_but_not_in_circles_or_nowhere(root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "three.bin").write_bytes(b"3")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    assert "linked/three.bin" in names(root)
    (root / "a" / "deep" / "up").symlink_to(root)
    with pytest.raises(InputError, match="up is a link to a folder that holds it"):
        names(root)
    (root / "a" / "deep" / "up").unlink()
    (root / "a" / "lost.bin").symlink_to("nothing-here")
    with pytest.raises(InputError, match=r"lost\.bin is a link to nothing"):
        names(root)


def test_get_copies_and_never_shares_the_source_file(root: Path, tmp_path: Path) -> None:
    storage = open_storage(str(root))
    item = next(i for i in storage.items() if i.name == "a/one.bin")
    received = storage.get(item, tmp_path / "copy")
    assert (received.size, received.sha256) == (3, SHA256_OF_ABC)
    assert (tmp_path / "copy").read_bytes() == b"abc"
    assert (tmp_path / "copy").stat().st_ino != (root / "a/one.bin").stat().st_ino


def test_get_copies_where_the_kernel_cannot(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    storage = open_storage(str(root))
    for item in storage.items():
        if not item.is_folder:
            storage.get(item, tmp_path / "copy")
            assert (tmp_path / "copy").read_bytes() == (root / item.name).read_bytes()


@pytest.mark.parametrize("change", ["rewritten", "removed"])
def test_get_refuses_what_is_not_the_listed_version(
    root: Path, tmp_path: Path, change: str
) -> None:
    storage = open_storage(str(root))
    item = next(i for i in storage.items() if i.name == "a/one.bin")
    (tmp_path / "copy").write_bytes(b"old")
    if change == "removed":
        (root / "a" / "one.bin").unlink()
    else:
        (root / "a" / "one.bin").write_bytes(b"abd")
    with pytest.raises(ChangedError, match=r"one\.bin changed or vanished"):
        storage.get(item, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"old"


def test_a_stopped_get_leaves_nothing(root: Path, tmp_path: Path) -> None:
    storage = open_storage(str(root))
    item = next(i for i in storage.items() if i.name == "a/one.bin")
    with pytest.raises(StoppedError):
        storage.get(item, tmp_path / "copy", stopped=lambda: True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["root"]


def test_put_replaces_and_remove_removes(root: Path, tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"new")
    storage = open_storage(str(root))
    storage.put(tmp_path / "new", "a/one.bin")
    storage.put(tmp_path / "new", "b/c/four.bin")
    assert storage.read("a/one.bin") == storage.read("b/c/four.bin") == b"new"
    assert storage.exists("b/c/four.bin")
    assert not storage.exists("b/c")
    storage.remove("b")
    storage.remove("a/one.bin")
    storage.remove("absent")
    assert names(root) == ["a/", "a/deep/", "a/deep/two.bin", "empty/"]


def test_publish_is_all_or_nothing_and_never_overwrites(root: Path, tmp_path: Path) -> None:
    storage = open_storage(str(root))
    source = tmp_path / "source"
    (source / "1").mkdir(parents=True)
    (source / "1" / "model").write_bytes(b"weights")
    with pytest.raises(InputError, match="holds no config"):
        storage.publish(source, "models/net", last="config")
    (source / "config").write_bytes(b"text")
    storage.publish(source, "models/net", last="config")
    assert names(root, "models") == [
        "models/net/", "models/net/1/", "models/net/1/model", "models/net/config",
    ]  # fmt: skip
    (source / "config").write_bytes(b"other")
    with pytest.raises(InputError, match="already exists; nothing was overwritten"):
        storage.publish(source, "models/net", last="config")
    assert storage.read("models/net/config") == b"text"


def test_hidden_files_and_leftovers_of_killed_writers_are_not_listed(root: Path) -> None:
    files.partial_sibling(root / "a" / "five.bin").write_bytes(b"half")
    (root / ".git").mkdir()
    (root / ".git" / "six.bin").touch()
    (root / ".git" / "broken").symlink_to("nowhere")
    assert names(root) == ["a/", "a/deep/", "a/deep/two.bin", "a/one.bin", "empty/"]


@pytest.mark.parametrize("name", ["../x", "/x", "a//b", "", "a/../../x", "."])
def test_names_cannot_leave_the_storage(root: Path, name: str) -> None:
    storage = open_storage(str(root))
    for use in (storage.read, storage.remove, storage.exists):
        with pytest.raises(InputError, match="is not a name relative to a storage"):
            use(name)


def test_check_says_what_is_wrong(root: Path, tmp_path: Path) -> None:
    open_storage(str(root)).check()
    for path, message in (
        (root / "absent", "does not exist"),
        (root / "a" / "one.bin", "is a file"),
        (root / "empty", "is empty"),
    ):
        with pytest.raises(InputError, match=message):
            open_storage(str(path)).check()


def test_read_file_takes_a_whole_path_and_has_a_limit(root: Path) -> None:
    assert read_file(str(root / "a" / "one.bin")) == b"abc"
    with pytest.raises(InputError, match="more than 2 bytes"):
        read_file(str(root / "a" / "one.bin"), limit=2)
    with pytest.raises(InputError, match="does not exist"):
        read_file(str(root / "a" / "none.bin"))
