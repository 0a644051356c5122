"""`python -m components.train_keras`."""

from components.core.command_line import main
from components.train_keras.stage import STAGE

if __name__ == "__main__":
    raise SystemExit(main(STAGE))
