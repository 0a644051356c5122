"""`python -m components.triton_publish`."""

from components.core.command_line import main
from components.triton_publish.stage import STAGE

if __name__ == "__main__":
    raise SystemExit(main(STAGE))
