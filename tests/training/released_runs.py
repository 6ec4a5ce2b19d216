"""Configs and folders for training from tiny released models."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from configs import base
from diffusion_jax.networks.initialise import init
from diffusion_jax.networks.transformers.diffusers_dit import DiffusersDiT
from diffusion_jax.published.writing import export_network

DATA = Path(__file__).parents[1] / "published" / "data"
UNCONDITIONAL, WORDS, PRX = (DATA / name for name in ("unconditional", "stable_diffusion", "prx"))
CLASSES = 3


def stripes(count: int, size: int = 8) -> np.ndarray:
    """Pictures of stripes, which a random network does not know."""
    random = np.random.default_rng(0)
    phase, colour = random.uniform(0, 2 * np.pi, (count, 1, 1, 1)), random.random((count, 1, 1, 3))
    wave = np.sin(phase + np.arange(size)[:, None, None] * np.pi / 4)
    return np.uint8(255 * colour * (0.5 + 0.5 * np.broadcast_to(wave, (count, size, size, 1))))


def config_of(folder: Path, model: Path, train: str = "", **arrays: np.ndarray) -> ConfigDict:
    """A config that trains from a model on arrays, which are written to a file."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "data.npz", **(arrays or {"x0": stripes(40)}))  # type: ignore[arg-type]
    config = base.get_config()
    config.data = f"npz(path={str(folder / 'data.npz')!r}, held_out=0.2)"
    config.network = f"released(path={str(model)!r}{train and f', train={train}'})"
    config.conditioner = "none"
    config.schedule = config.prediction = config.preconditioning = "released"
    config.sigma_data = 1.0
    config.training.caption_dropout = 0.0
    config.training.steps, config.training.batch_size = 4, 4
    config.training.checkpoint_every = config.training.log_every = 2
    config.run_dir = str(folder / "run")
    return config


def write_dit(folder: Path) -> Path:
    """A folder as diffusers writes it of a tiny DiT on latents, which tells a variance."""
    network = DiffusersDiT(
        num_attention_heads=2, attention_head_dim=8, num_layers=1, sample_size=4, out_channels=8
    )
    told = network.example({"in_channels": 4, "num_embeds_ada_norm": CLASSES})
    params = init(network, jax.random.key(0), *told)
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda x: x + 0.1 * rng.normal(size=x.shape).astype(x.dtype), params)
    export_network(network, jax.tree.map(jnp.asarray, params), 4, folder / "transformer")
    index: Mapping[str, Any] = {
        "_class_name": "DiTPipeline",
        "transformer": ["diffusers", "DiTTransformer2DModel"],
        "scheduler": ["diffusers", "DDIMScheduler"],
    }
    (folder / "scheduler").mkdir()
    scheduler = {"_class_name": "DDIMScheduler", "clip_sample": False}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder
