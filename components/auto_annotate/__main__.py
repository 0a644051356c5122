"""`python -m components.auto_annotate`."""

from components.auto_annotate.stage import STAGE
from components.core.command_line import main

if __name__ == "__main__":
    raise SystemExit(main(STAGE))
