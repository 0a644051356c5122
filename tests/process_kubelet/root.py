"""Becomes a container's first process: builds its root from this machine's files, then executes it.

The root is an overlay over `/`: the container sees the machine's programs, writes into a layer
that ends with it, has its own processes, host name, /tmp, /dev and /proc, and finds its volumes
mounted. Nothing that it writes elsewhere reaches the machine.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC = 1, 32, 4096, 16384
SHM = "size=64m"
"""What a container runtime gives /dev/shm unless a volume is mounted there."""
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
NOT_FILES = {"proc", "sysfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "tmpfs", "mqueue"}


def isolated(request: Path, report: int) -> list[str]:
    """The command that runs a container; it ends with the thread that starts it.

    `request` is a JSON file of what `enter_root` and `main` read; on the file descriptor `report`
    comes "started" or the reason why not.
    """
    unshare = ["unshare", "--mount", "--pid", "--uts", "--fork", "--kill-child"]
    this = [sys.executable, "-I", os.path.abspath(__file__), str(request), str(report)]
    return ["setpriv", "--pdeathsig", "KILL", *unshare, *this]


def main() -> None:
    """Ends as the container's command, or reports why not and exits with 128."""
    request = json.loads(Path(sys.argv[1]).read_bytes())
    report = int(sys.argv[2])
    try:
        enter_root(request)
        environment = request["environment"]
        program = shutil.which(request["command"][0], path=environment["PATH"])
        if program is None:
            raise FileNotFoundError(f'exec: "{request["command"][0]}": not found in $PATH')
        os.write(report, b"started")
        os.close(report)
        os.execve(program, request["command"], environment)
    except OSError as error:
        os.write(report, str(error).encode())
        sys.exit(128)


def enter_root(request: dict[str, Any]) -> None:
    """Builds the root in the empty folder `scratch` and makes it this process's own."""
    scratch = Path(request["scratch"])
    mount("tmpfs", scratch, "tmpfs")
    upper, work, root = (scratch / name for name in ("upper", "work", "root"))
    for folder in (upper, work, root):
        folder.mkdir()
    mount("overlay", root, "overlay", data=f"lowerdir=/,upperdir={upper},workdir={work}")
    for path in own_file_systems():
        bind(path, root / path.relative_to("/"), read_only=True)
    open_to_all(root)
    for hidden in ("/tmp", request["hidden"]):
        (root / hidden[1:]).mkdir(parents=True, exist_ok=True)
        mount("tmpfs", root / hidden[1:], "tmpfs", data="mode=1777")
    mount("proc", root / "proc", "proc")
    bind(Path("/sys"), root / "sys", read_only=True)
    make_devices(root / "dev")
    for volume in sorted(request["mounts"], key=lambda volume: len(volume["target"])):
        # The overlay has this machine's symbolic links (/var/run), so they resolve alike.
        target = root / os.path.realpath(volume["target"])[1:]
        bind(Path(volume["source"]), target, volume["read_only"])
    for place in code():
        seen = root / place.relative_to("/")
        if not seen.exists() or not any(seen.iterdir()):  # it lies below /tmp or a volume
            bind(place, seen, read_only=True)
    (root / request["folder"][1:]).mkdir(parents=True, exist_ok=True)
    if request["read_only"]:
        volumes = [volume["target"] for volume in request["mounts"]]
        for path in (root, *([] if "/tmp" in volumes else [root / "tmp"])):
            mount("none", path, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)
    os.chroot(root)
    os.chdir(request["folder"])
    socket.sethostname(request["hostname"])
    os.setgroups(request["groups"])
    os.setgid(request["group"])
    os.setuid(request["user"])


def own_file_systems() -> list[Path]:
    """Where further file systems with programs or code are mounted; an overlay leaves them out."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    mounts = [(line.split()[4], line.partition(" - ")[2].split()[0]) for line in lines]
    paths = [Path(path) for path, kind in mounts if kind not in NOT_FILES and path != "/"]
    return [p for p in paths if p.parts[1] not in ("proc", "sys", "dev", "tmp") and p.exists()]


def code() -> list[Path]:
    """This interpreter, its packages, this checkout, and the sample data beside it, outer first."""
    checkout = Path(__file__).resolve().parents[2]
    places = [Path(sys.base_prefix), Path(sys.prefix), checkout, checkout.parent / "shared"]
    return sorted((place for place in places if place.exists()), key=lambda place: len(place.parts))


def open_to_all(root: Path) -> None:
    """Lets every user reach this interpreter and this code, as in an image."""
    for place in (sys.prefix, sys.base_prefix, os.path.dirname(__file__)):
        for folder in Path(place).resolve().parents:
            inside = root / folder.relative_to("/")
            if not inside.stat().st_mode & 0o001:
                inside.chmod(inside.stat().st_mode | 0o011)


def make_devices(folder: Path) -> None:
    """A /dev of its own: nothing that a container creates there reaches this machine's."""
    mount("tmpfs", folder, "tmpfs", data="mode=755")
    for device in [Path("/dev", name) for name in DEVICES] + list(Path("/dev").glob("nvidia*")):
        if not device.is_dir():
            bind(device, folder / device.name)
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        (folder / name).symlink_to(f"/proc/self/fd{target}")
    (folder / "shm").mkdir()
    mount("tmpfs", folder / "shm", "tmpfs", data=f"mode=1777,{SHM}")


def bind(source: Path, target: Path, read_only: bool = False) -> None:
    """Shows a file or folder at `target`, which is made where it does not exist."""
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    mount(str(source), target, flags=MS_BIND)
    if read_only:
        mount("none", target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)


def mount(source: str, target: Path, kind: str = "none", flags: int = 0, data: str = "") -> None:
    """mount(2).

    Raises:
        OSError: it is not permitted, or a path does not exist.
    """
    arguments = (source.encode(), os.fsencode(target), kind.encode(), flags, data.encode())
    if ctypes.CDLL(None, use_errno=True).mount(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"mount {source} as {kind}: {os.strerror(number)}", str(target))


if __name__ == "__main__":
    main()
