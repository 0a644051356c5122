"""Command line of `read_task`."""

from components.core.command_line import main
from components.read_task.stage import STAGE

if __name__ == "__main__":
    raise SystemExit(main(STAGE))
