"""A sweep that takes seconds: the smallest network on the smallest pictures."""

from ml_collections import ConfigDict

from configs import shapes
from diffusion_jax.sweeps import Sweep, axis, choice, listed, product


def get_config() -> ConfigDict:
    config = shapes.get_config()
    config.data = "shapes(size=12, count=64, test_count=32)"
    config.network = "dit(width=8, depth=1, heads=1, patch=6)"
    config.conditioner = "label(width=8)"
    config.training.steps = 12
    config.training.batch_size = 8
    config.training.checkpoint_every = 4
    config.sampling.steps = (2, 3)
    config.sampling.count = 8
    config.sampling.judged_count = 8
    config.sampling.batch_size = 32
    config.sampling.metrics = ("exact_match", "kernel")
    return config


def get_sweep() -> Sweep:
    """Two arms that are one, one that is another, one that diverges, one that only samples else."""
    return Sweep(
        product(
            listed(
                axis("schedule", "cosine", again="cosine", flow="rectified_flow"),
                choice("boom", optimizer="adam(learning_rate=1e30, decay='cosine')"),
                axis("sampling.guidance", free="none"),
            ),
            axis("seed", 0, 1),
        ),
        execution="together",  # when that is measured it may differ from run to run, by rounding
    )
