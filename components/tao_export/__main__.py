"""`python -m components.tao_export`."""

from components.core.command_line import main
from components.tao_export.stage import STAGE

if __name__ == "__main__":
    raise SystemExit(main(STAGE))
