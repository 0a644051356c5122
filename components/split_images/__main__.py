"""Command line of `split_images`."""

from components.core.command_line import main
from components.split_images.stage import STAGE

if __name__ == "__main__":
    raise SystemExit(main(STAGE))
