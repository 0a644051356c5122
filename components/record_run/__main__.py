"""Command line of `record_run`."""

from components.core.command_line import main
from components.record_run.stage import STAGE

if __name__ == "__main__":
    raise SystemExit(main(STAGE))
