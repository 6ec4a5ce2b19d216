"""Writes a checkpoint of Lightning's for the tests, as its trainer saves it.

    python -m tests.published.record.lightning tests/published/readers/data

It needs lightning, omegaconf and torch, in an environment of its own.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from omegaconf import OmegaConf


class Model(pl.LightningModule):
    """A line, with settings of several kinds."""

    def __init__(self, config: Any, width: int = 2):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(width, 1)

    def training_step(self, batch: Any, index: int) -> Any:
        """The mean of what it gives."""
        return self.layer(batch).mean()

    def configure_optimizers(self) -> Any:
        """Adam, whose state has tensors."""
        return torch.optim.Adam(self.parameters(), lr=0.01)


def main(folder: Path) -> None:
    """Trains for a step and saves."""
    torch.manual_seed(0)
    model = Model(OmegaConf.create({"unet": {"channels": [1, 2], "name": "small"}, "scale": 0.18}))
    with tempfile.TemporaryDirectory() as place:
        trainer = pl.Trainer(
            accelerator="cpu",
            max_steps=1,
            logger=False,
            default_root_dir=place,
            enable_progress_bar=False,
            callbacks=[ModelCheckpoint(place)],
        )
        trainer.fit(model, torch.utils.data.DataLoader(torch.ones(4, 2), batch_size=2))
        trainer.save_checkpoint(folder / "lightning.ckpt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
