"""`python -m components.core.training.torchrun PARENT FOLDER …`: torchrun, tied to its parent.

It differs from `torchrun …` in three ways: it and the processes it started do not outlive process
PARENT, it prints nothing, and it writes how processes ended to `FOLDER/failures.json`.
"""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from components.core import files
from components.core.lifetime import die_with_parent


def main(arguments: Sequence[str]) -> int:
    """Runs torchrun with the arguments after PARENT and FOLDER; returns the exit code."""
    parent, folder, *rest = arguments
    die_with_parent(signal.SIGKILL, int(parent))
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.disable(logging.CRITICAL)
    try:
        torchrun.run(torchrun.parse_args(rest))  # type: ignore[no-untyped-call]
    except SignalException as error:
        return 128 + error.sigval
    except ChildFailedError as error:
        failures = [
            {"rank": rank, "exit_code": failure.exitcode, "time": failure.timestamp}
            for rank, failure in error.failures.items()
        ]
        files.write_json(Path(folder) / "failures.json", failures)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
