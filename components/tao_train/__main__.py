"""`python -m components.tao_train`."""

from components.core.command_line import main
from components.tao_train.stage import STAGE

if __name__ == "__main__":
    raise SystemExit(main(STAGE))
