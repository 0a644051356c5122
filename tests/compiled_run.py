"""Runs a compiled pipeline, the file and nothing else, on kfp's embedded runner.

Usage: python compiled_run.py FILE FOLDER JSON, the JSON holding the parameters.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

from kfp import components, local


def main() -> None:
    """Exits with an exception where a step fails."""
    file, folder, values = sys.argv[1:]
    warnings.simplefilter("ignore")
    local.init(
        local.SubprocessRunner(use_venv=False),
        pipeline_root=str(Path(folder, "artifacts")),
        workspace_root=str(Path(folder, "workspace")),
    )
    components.load_component_from_file(file)(**json.loads(values))


if __name__ == "__main__":
    main()
