"""`python -m components.evaluate_renderings`."""

from components.core.command_line import main
from components.evaluate_renderings.stage import STAGE

if __name__ == "__main__":
    raise SystemExit(main(STAGE))
