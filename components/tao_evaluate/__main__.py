"""`python -m components.tao_evaluate`."""

from components.core.command_line import main
from components.tao_evaluate.stage import STAGE

if __name__ == "__main__":
    raise SystemExit(main(STAGE))
