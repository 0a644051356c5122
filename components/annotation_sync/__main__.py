"""Command line of `annotation_sync`."""

from components.annotation_sync.stage import STAGE
from components.core.command_line import main

if __name__ == "__main__":
    raise SystemExit(main(STAGE))
