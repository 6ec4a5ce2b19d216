"""The train command, with the data set `points` known: what tests start as a process."""

from pathlib import Path

from experiments import cli, train
from tests.training import points

__all__ = ["points"]

if __name__ == "__main__":
    cli.run(train.main, default=str(Path(__file__).with_name("points_config.py")))
