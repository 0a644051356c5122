"""`python -m components.tao_prune`."""

from components.core.command_line import main
from components.tao_prune.stage import STAGE

if __name__ == "__main__":
    raise SystemExit(main(STAGE))
