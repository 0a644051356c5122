"""Command line of `dataset_sync`."""

from components.core.command_line import main
from components.dataset_sync.stage import STAGE

if __name__ == "__main__":
    raise SystemExit(main(STAGE))
