"""`python -m components.tao_convert`."""

from components.core.command_line import main
from components.tao_convert.stage import STAGE

if __name__ == "__main__":
    raise SystemExit(main(STAGE))
