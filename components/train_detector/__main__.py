"""`python -m components.train_detector`."""

from components.core.command_line import main
from components.train_detector.stage import STAGE

if __name__ == "__main__":
    raise SystemExit(main(STAGE))
