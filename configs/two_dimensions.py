"""Three parametrisations of the same diffusion in the plane, in seconds and without pictures.

Source: a residual MLP on two-dimensional data, the usual first try of an idea; exact densities are
known (`data.sets.two_dimensions`).
Cost: three arms of 1,500 steps of 256 points; half a minute on two CPU cores.
Command: python -m experiments.compare --config=configs/two_dimensions.py
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    """See the head of the file."""
    config = base.get_config()
    config.run_dir = "runs/two_dimensions"

    config.data = "two_moons()"
    config.network = "mlp(width=64, depth=3)"
    config.conditioner = "label(width=64)"
    config.optimizer = "adam(learning_rate=2e-3, warmup=100, decay='cosine', clip=1.0)"
    config.time_sampler = "low_discrepancy(time_sampler=uniform)"
    config.arms = ConfigDict(
        {name: {"prediction": name} for name in ("epsilon", "v", "edm")},
    )
    config.training.steps = 1500
    config.training.batch_size = 256
    config.training.checkpoint_every = 500
    config.training.ema = "half_life(samples=100_000, ramp_up=0.05)"

    config.sampling.solvers = ("dpmpp_2m",)
    config.sampling.steps = (8, 16)
    config.sampling.guidance = "none"
    config.sampling.count = 1000
    config.sampling.judged_count = 4000
    config.sampling.batch_size = 1000
    config.sampling.metrics = ("frechet", "kernel", "neighbour_ratio")
    return config
