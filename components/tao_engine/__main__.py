"""`python -m components.tao_engine`."""

from components.core.command_line import main
from components.tao_engine.stage import STAGE

if __name__ == "__main__":
    raise SystemExit(main(STAGE))
