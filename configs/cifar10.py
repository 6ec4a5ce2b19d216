"""Three noise schedules on CIFAR-10, with captions from the class names.

Source: the size of the network is that of DDPM's (Ho et al. 2020, 35.7M) scaled down; the
recipe is EDM's (Karras et al. 2022) in averaging and flips.
Cost: three arms of 5 million pictures; for a GPU or TPU, not yet run to the end. On a CPU, shorten
it: --config.training.steps=100.
Data: TFDS downloads it; without internet, --config.data="cifar10(manual_dir='…')".
Command: python -m experiments.compare --config=configs/cifar10.py
"""

from ml_collections import ConfigDict

from configs import quickstart


def get_config() -> ConfigDict:
    """See the head of the file."""
    config = quickstart.get_config()
    config.run_dir = "runs/cifar10"
    config.data = "cifar10()"
    config.flip = True
    config.network = "unet(channels=(96, 192, 192), blocks=2, dropout=0.1)"
    config.optimizer = "adam(learning_rate=5e-4, warmup=1000, clip=1.0)"
    config.training.steps = 20_000
    config.training.batch_size = 256
    config.training.ema = "half_life(samples=500_000)"
    config.training.checkpoint_every = 1000
    config.sampling.steps = (8, 16, 32)
    config.sampling.count = 1000
    config.sampling.judged_count = 2000
    config.sampling.batch_size = 250
    return config
