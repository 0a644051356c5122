"""`python -m components.frame_extraction`."""

from components.core.command_line import main
from components.frame_extraction.stage import STAGE

if __name__ == "__main__":
    raise SystemExit(main(STAGE))
