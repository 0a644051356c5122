"""`python -m components.publish_renderer`."""

from components.core.command_line import main
from components.publish_renderer.stage import STAGE

if __name__ == "__main__":
    raise SystemExit(main(STAGE))
