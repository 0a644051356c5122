"""`python -m components.core.training.torchrun PARENT REPORT …`: torchrun, tied to its parent.

It differs from `torchrun …` in three ways: it and the processes it started do not outlive process
PARENT, it says little, and it writes how processes ended to the JSON file REPORT.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from components.core import files
from components.core.cpus import usable_cpus
from components.core.lifetime import die_with_parent

GROUP_VARIABLE = "TRAINYARD_NODE_GROUP"
"""JSON of a `launch.NodeGroup`, and of whatever else its command needs."""

AGENT = "components.core.training.torchrun"

SAVE_SECONDS = 600
"""What processes that were asked to stop get to save their work, if the surroundings let them."""

DONE = "done"
"""File that a process leaves when all have done their work."""

NO_MEETING = 75
"""Exit code when the agents of several machines did not come together, or lost one another."""


def command(report: Path, options: dict[str, str]) -> list[str]:
    """This program, tied to the calling process, with torchrun's options."""
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    return [sys.executable, "-m", AGENT, str(os.getpid()), str(report), *words]


def environment(processes: int) -> dict[str, str]:
    """Variables for torchrun and the `processes` that it starts on this machine."""
    own = {
        "OMP_NUM_THREADS": str(max(1, usable_cpus() // processes)),
        "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(SAVE_SECONDS),
    }
    return {**own, **os.environ}


def main(arguments: Sequence[str]) -> int:
    """Runs torchrun with the arguments after PARENT and REPORT; returns the exit code."""
    parent, report, *rest = arguments
    die_with_parent(signal.SIGKILL, int(parent))
    from torch.distributed import DistError
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous.api import RendezvousError

    logging.disable(logging.CRITICAL)
    try:
        torchrun.run(torchrun.parse_args(rest))  # type: ignore[no-untyped-call]
    except SignalException as error:
        return 128 + error.sigval
    except (DistError, RendezvousError) as error:
        print(f"the machines have not come together: {error}", flush=True)
        return NO_MEETING
    except ChildFailedError as error:
        failures = [
            {"rank": rank, "exit_code": failure.exitcode, "time": failure.timestamp}
            for rank, failure in error.failures.items()
        ]
        files.write_json(Path(report), failures)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
