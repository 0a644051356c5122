"""`python -m launched_nodes MODULE FOLDER PROCESSES`: two machines of a node group, both here."""

from __future__ import annotations

import os
import subprocess
import sys

from servers import free_port


def main() -> int:
    """Ends like the first machine that fails."""
    module, folder, processes = sys.argv[1:]
    port = str(free_port())
    machines = []
    for rank in range(2):
        variables = {
            "PET_NNODES": "2",
            "PET_NPROC_PER_NODE": processes,
            "PET_NODE_RANK": str(rank),
            "PET_MASTER_ADDR": "127.0.0.1",
            "PET_MASTER_PORT": port,
        }
        command = [sys.executable, "-m", "components.core.training.node", module, folder]
        machines.append(subprocess.Popen(command, env={**os.environ, **variables}))
    return max(machine.wait() for machine in machines)


if __name__ == "__main__":
    raise SystemExit(main())
