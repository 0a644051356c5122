"""`python -m components.hpo_sweep`."""

from components.core.command_line import main
from components.hpo_sweep.stage import STAGE

if __name__ == "__main__":
    raise SystemExit(main(STAGE))
