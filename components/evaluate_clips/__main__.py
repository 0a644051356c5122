"""`python -m components.evaluate_clips`."""

from components.core.command_line import main
from components.evaluate_clips.stage import STAGE

if __name__ == "__main__":
    raise SystemExit(main(STAGE))
