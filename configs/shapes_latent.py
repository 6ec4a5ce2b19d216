"""A network on latents of the built-in shapes, by the autoencoder of configs/autoencoder.py.

Source: Rombach et al. 2022 (latent diffusion), section 3; Peebles & Xie 2023 (DiT) for the network.
Cost: after the autoencoder, 22,000 pictures encoded in ten seconds; 96,000 latents of 4 × 4 × 8,
1.6M parameters; five minutes on two CPU cores.
Expect: 300 of 300 pictures as their captions say, none of which was in training; no copies.
Command: python -m experiments.compare --config=configs/shapes_latent.py
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    """See the head of the file."""
    config = base.get_config()
    config.run_dir = "runs/shapes_latent"
    config.data = "latents(data=shapes(count=20_000), autoencoder='runs/autoencoder')"
    config.network = "dit(patch=1, width=128, depth=4, heads=4)"
    config.conditioner = "transformer(width=64, layers=1)"
    config.sigma_data = 1.0
    config.time_sampler = "low_discrepancy(time_sampler=uniform)"
    config.optimizer = "adam(learning_rate=1e-3, warmup=100, decay='cosine', b2=0.99, clip=1.0)"
    config.training.steps = 3000
    config.training.batch_size = 32
    config.training.ema = "half_life(samples=500_000, ramp_up=0.05)"
    config.sampling.count = 60
    config.sampling.judged_count = 300
    config.sampling.batch_size = 60
    return config
