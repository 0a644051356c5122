"""Command line of `rendering_sync`."""

from components.core.command_line import main
from components.rendering_sync.stage import STAGE

if __name__ == "__main__":
    raise SystemExit(main(STAGE))
