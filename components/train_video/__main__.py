"""`python -m components.train_video`."""

from components.core.command_line import main
from components.train_video.stage import STAGE

if __name__ == "__main__":
    raise SystemExit(main(STAGE))
