"""Command line of `check_changes`."""

from components.check_changes.stage import STAGE
from components.core.command_line import main

if __name__ == "__main__":
    raise SystemExit(main(STAGE))
