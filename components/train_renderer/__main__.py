"""`python -m components.train_renderer`; the old `run_name -batch_size=2 …` works, too."""

import os
import sys

from components.core.command_line import main
from components.train_renderer.command import translated
from components.train_renderer.stage import STAGE

if __name__ == "__main__":
    raise SystemExit(main(STAGE, translated(sys.argv[1:], environment=os.environ)))
