"""Several training processes, started by torchrun and tied to this one.

The parent calls `launch`; each process runs `python -m <module> <folder>`, whose main program is
`run_worker`. What goes wrong in one of them is raised in the parent as if it had happened there.

They run on this machine, unless TRAINYARD_NODE_GROUP names a command that starts them on others
(`components.core.training.node` is what each of those runs). Then `folder` lies on storage that
all of them share, and this process only waits.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from components.core import errors, files
from components.core.errors import InputError, StoppedError, TrainyardError
from components.core.lifetime import StopSignal, die_with_parent, orderly_stop
from components.core.training import torchrun
from components.core.training.fit import resolve_device
from components.core.training.plan import share_problems, smallest_batch

TOGETHER_SECONDS = 5.0
"""Ends of processes within this time have one cause."""


@dataclass(frozen=True)
class NodeGroup:
    """Machines that train in this one's place."""

    nodes: int
    processes: int
    """On each, unless the settings say otherwise."""
    command: tuple[str, ...]
    """Gets the module, the folder and the processes per node as further arguments; ends like
    torchrun. SIGTERM stops the group in order; with this process it ends, too."""


def node_group() -> NodeGroup | None:
    """What the environment says about other machines; None to train on this one."""
    if not (text := os.environ.get(torchrun.GROUP_VARIABLE)):
        return None
    content = json.loads(text)
    return NodeGroup(content["nodes"], content["processes"], tuple(content["command"]))


def process_problems(processes: int, device: str, batch_size: int, count: int) -> list[str]:
    """What speaks against so many training processes; empty when nothing does.

    Args:
        processes: how many are asked for; 0 leaves it to `count_processes`.
        device: as in FitOptions.
        batch_size: most examples in a batch, over all processes.
        count: training examples.
    """
    if group := node_group():
        total = group.nodes * (processes or group.processes)
        return share_problems(count, batch_size, total) if count else []
    try:
        where = resolve_device(device)
    except InputError:  # told elsewhere
        return []
    if processes <= 1:
        return []
    problems = share_problems(count, batch_size, processes) if count else []
    if where.type == "cuda" and where.index is not None:
        problems.append(f"processes: {processes} cannot share {device!r}; use device: cuda")
    elif where.type == "cuda" and processes > (gpus := torch.cuda.device_count()):
        problems.append(
            f"processes: {processes} is more than the {gpus} GPUs here; use at most {gpus}, or 0"
        )
    return problems


def count_processes(processes: int, device: str, batch_size: int, count: int) -> int:
    """How many training processes to use; arguments as of `process_problems`, which has none.

    0 means one per GPU, but no more than the smallest batch has examples; and one on the CPU. On
    several machines `processes` is for each of them, and the result for all.
    """
    if group := node_group():
        return group.nodes * (processes or group.processes)
    where = resolve_device(device)
    if processes or where.type == "cpu" or where.index is not None:
        return processes or 1
    return min(torch.cuda.device_count(), smallest_batch(count, batch_size))


def launch(module: str, request: Mapping[str, Any], processes: int, folder: Path) -> None:
    """Runs `module` in several processes and returns when all have done their work.

    SIGTERM and SIGINT are passed on, and awaited. Should this process be killed, so are they.

    Args:
        module: a module whose main program is `run_worker`.
        request: what each of them is to do, in JSON's types.
        processes: how many.
        folder: for what they hand over; cleared.

    Raises:
        StoppedError: a signal asked to stop; they have saved their work.
        TrainyardError: the first error of any of them.
    """
    files.remove(folder)
    folder.mkdir(parents=True)
    files.write_json(folder / "request.json", request)
    if group := node_group():
        command = [*group.command, module, str(folder), str(processes // group.nodes)]
        environment = dict(os.environ)
    else:
        options = {
            "local-addr": "127.0.0.1",
            "nproc-per-node": str(processes),
            "log-dir": str(folder / "torchrun"),
        }
        command = torchrun.command(folder / "failures.json", options)
        command += ["--standalone", "-m", module, str(folder)]
        # they are on this machine, whatever its name resolves to
        local = {"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}
        environment = {**local, **torchrun.environment(processes)}
    with orderly_stop() as stop:
        # a session of its own: a terminal's Ctrl-C reaches them through this process only
        agent = subprocess.Popen(command, env=environment, start_new_session=True)
        try:
            code = _wait(agent, stop)
        finally:
            agent.kill()
            agent.wait()
    if code:
        raise _error(folder, processes, stop)


def run_worker(work: Callable[[dict[str, Any]], None]) -> int:
    """Does one process's part of the work; leaves an error to the parent. Returns the exit code.

    Args:
        work: gets the request.
    """
    die_with_parent(signal.SIGKILL)
    folder, rank = Path(sys.argv[1]), int(os.environ["RANK"])
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    files.remove(folder / f"error-{rank}.json")  # of an earlier attempt that this one takes over
    try:
        with files.full_disk_named(folder):
            work(request)
        (folder / torchrun.DONE).touch()
        return 0
    except (TrainyardError, StoppedError) as error:
        code, text = error.exit_code, str(error)
        kind = type(error).__name__
    except Exception as error:
        code, text = 1, f"{type(error).__name__}: {error}"
        kind = ""
        text += "\n" + "".join(traceback.format_exception(error)).rstrip()
    content = {"kind": kind, "text": text, "exit_code": code, "time": time.time()}
    files.write_json(folder / f"error-{rank}.json", content)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # libraries would wait for the other processes, which wait for this one


def _wait(agent: subprocess.Popen[bytes], stop: StopSignal) -> int:
    told = False
    while True:
        try:
            return agent.wait(0.1)
        except subprocess.TimeoutExpired:
            if stop and not told:
                agent.terminate()
                told = True


def _error(folder: Path, processes: int, stop: StopSignal) -> TrainyardError | StoppedError:
    """What the processes left: an error for people, a stop, or the first thing that broke."""
    paths = folder.glob("error-*.json")
    left = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}
    order = sorted(left.items(), key=lambda item: item[1]["time"])
    for _, error in order:
        if error["kind"] and error["kind"] != StoppedError.__name__:
            return _revived(error)
    for _, error in order:
        if error["kind"]:
            return StoppedError(error["text"], stop.number or error["exit_code"] - 128)
    if stop:
        text = "stopped by a signal; run the same command again to continue"
        return StoppedError(text, stop.number)
    if killed := _killed(folder):
        rank, number = killed
        return TrainyardError(
            f"training process {rank + 1} of {processes} was ended by "
            f"{signal.Signals(number).name}, for example because memory ran out; free some, or "
            "use a smaller batch_size, and run the same command again to continue"
        )
    if order:
        name, error = order[0]
        number = int(name.removeprefix("error-")) + 1
        return TrainyardError(f"training process {number} of {processes}: {error['text']}")
    return TrainyardError(f"the {processes} training processes could not be started; see above")


def _killed(folder: Path) -> tuple[int, int] | None:
    """Rank and signal of the process that was killed first, if that is what broke the others."""
    paths = sorted(folder.glob("failures*.json"))
    failures = [one for path in paths for one in json.loads(path.read_text(encoding="utf-8"))]
    first = min((failure["time"] for failure in failures), default=0.0)
    for failure in failures:
        soon = failure["time"] - first < TOGETHER_SECONDS
        if soon and failure["exit_code"] < 0 and failure["exit_code"] != -signal.SIGTERM:
            return failure["rank"], -failure["exit_code"]
    return None


def _revived(error: Mapping[str, Any]) -> TrainyardError:
    kind = getattr(errors, error["kind"], TrainyardError)
    if not issubclass(kind, TrainyardError) or issubclass(kind, errors.ProblemsError):
        kind = TrainyardError
    revived: TrainyardError = kind(error["text"])
    revived.exit_code = error["exit_code"]
    return revived
