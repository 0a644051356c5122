"""`python -m components.evaluate_detections`."""

from components.core.command_line import main
from components.evaluate_detections.stage import STAGE

if __name__ == "__main__":
    raise SystemExit(main(STAGE))
