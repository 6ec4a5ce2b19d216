"""One arm on the built-in captioned shapes: the base of sweeps and of `quickstart`.

Source: the recipe was tuned for few minutes on a CPU: a U-Net of 0.9M parameters on 16 × 16
pictures of one object, EDM's preconditioning (Karras et al. 2022).
Cost: 36,000 pictures; two minutes on two CPU cores.
Command: python -m experiments.compare --config=configs/shapes.py \\
    --sweep=configs/sweeps/schedules.py
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    """See the head of the file."""
    config = base.get_config()
    config.run_dir = "runs/shapes"

    config.data = "shapes(level='one', size=16)"
    config.network = "unet(channels=(32, 64), blocks=2, patch=2)"
    config.conditioner = "transformer(width=64, layers=1)"
    config.optimizer = "adam(learning_rate=2e-3, warmup=100, decay='cosine', b2=0.99, clip=1.0)"
    config.time_sampler = "low_discrepancy(time_sampler=uniform)"
    config.training.steps = 2250
    config.training.batch_size = 16
    config.training.checkpoint_every = 250
    config.training.ema = "half_life(samples=500_000, ramp_up=0.05)"

    config.sampling.solvers = ("dpmpp_2m",)
    config.sampling.steps = (4, 8, 16)
    config.sampling.count = 120
    config.sampling.judged_count = 300
    config.sampling.batch_size = 30
    return config
