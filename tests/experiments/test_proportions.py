"""Pictures that are wider than high, through training, sampling, measuring and the page."""

import base64
import io
import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from configs import base
from diffusion_jax.networks import networks
from diffusion_jax.runs.run import Run
from experiments import compare

SHAPE = (8, 12, 3)


def folder(path: Path) -> Path:
    path.mkdir()
    lines = []
    for k in range(24):
        picture = np.random.default_rng(k).integers(0, 256, (16, 24, 3), np.uint8)
        Image.fromarray(picture).save(path / f"{k}.png")
        lines.append(json.dumps({"file_name": f"{k}.png", "text": f"picture {k % 3}"}))
    (path / "metadata.jsonl").write_text("\n".join(lines))
    return path


@pytest.mark.usefixtures("one_device")
def test_a_picture_may_be_wider_than_high(tmp_path: Path) -> None:
    config = base.get_config()
    config.run_dir = str(tmp_path / "run")
    config.data = f"folder(path={str(folder(tmp_path / 'data'))!r}, size=(8, 12), held_out=0.4)"
    config.flip = True
    config.conditioner = "none"
    config.network = "dit(patch=4, width=16, depth=1, heads=2)"
    config.training.steps, config.training.batch_size = 2, 4
    config.sampling.steps, config.sampling.count, config.sampling.judged_count = (2,), 4, 4
    config.sampling.guidance = "none"
    config.sampling.metrics = ("kernel", "copies", "kernel(features=random_convolutions)")
    compare.compare(config)
    assert Run.load(config.run_dir).facts.shape == SHAPE
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "pictures of 8×12" in page
    shown = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", page)
    sizes = {Image.open(io.BytesIO(base64.b64decode(each))).size for each in shown}
    assert (12, 8) in sizes and (8, 12) not in sizes


def test_a_unet_halves_both_sides() -> None:
    network = networks.make("unet(channels=(8, 16), blocks=1, attention=(1,))")
    x, c_noise = jnp.zeros((2, *SHAPE)), jnp.zeros(2)
    drawn, _ = jax.eval_shape(network.init_with_output, jax.random.key(0), x, c_noise)
    assert drawn.shape == x.shape
