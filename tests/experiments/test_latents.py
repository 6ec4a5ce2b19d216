"""A run on latents from the command line: its samples are pictures, whatever became of the data."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from PIL import Image

from configs import base
from diffusion_jax.errors import UserError
from diffusion_jax.inference.preflight import prepare
from diffusion_jax.training.loop import train
from experiments import audit, sample
from tests.training.conftest import on_one_device

MODEL = Path(__file__).parents[1] / "published" / "data" / "stable_diffusion"


def test_samples_are_decoded_by_the_autoencoder_of_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_one_device(monkeypatch)
    vae = shutil.copytree(MODEL / "vae", tmp_path / "vae")
    config = base.get_config()
    config.run_dir = str(tmp_path / "run")
    pictures, kept = "shapes(size=12, count=40, test_count=8)", str(tmp_path / "latents")
    config.data = f"latents(data={pictures}, autoencoder={str(vae)!r}, folder={kept!r})"
    config.network, config.conditioner = "dit(patch=3, width=16, depth=1, heads=1)", "label()"
    config.training.steps, config.training.batch_size = 1, 4
    config.sampling.steps = (2,)
    train(config)
    config.sampling.operator, config.sampling.posterior = "half", "mmps"
    with pytest.raises(UserError, match="arms on latents of 6×6×4 .pictures of 12×12. cannot"):
        prepare(config)
    config.sampling.operator = config.sampling.posterior = "none"
    flags.FLAGS.mark_as_parsed()
    with flagsaver.flagsaver(out=str(tmp_path / "audit"), drawn=2, alarm=0.25):
        audit.main(config)
    said = json.loads((tmp_path / "audit" / "results.json").read_text())
    assert (said["data"], said["training_pictures"]) == ("shapes", 40)  # pictures, not latents
    shutil.rmtree(kept)  # nothing is encoded to sample
    with flagsaver.flagsaver(out=str(tmp_path / "a.png"), count=2, label="square"):
        sample.main(config)
        with Image.open(tmp_path / "a.png") as image:
            assert np.asarray(image.convert("RGB")).std(axis=-1).max() > 1  # not a plot in grey
        assert not Path(kept).exists()
        told = (vae / "config.json").read_text().replace("0.18215", "0.5")
        (vae / "config.json").write_text(told)
        with pytest.raises(UserError, match="other weights or settings than that whose latents"):
            sample.main(config)
