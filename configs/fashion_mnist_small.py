"""One arm on Fashion-MNIST, small enough for sweeps on a CPU.

Source: the network and recipe are those of `shapes`, with fewer channels.
Cost: 16,000 pictures of 32 × 32 grey pixels; about a minute on two CPU cores.
Data: TFDS downloads it; without internet, --config.data="fashion_mnist(manual_dir='…')".
Command: python -m experiments.compare --config=configs/fashion_mnist_small.py \\
    --sweep=configs/sweeps/weightings.py
"""

from ml_collections import ConfigDict

from configs import shapes


def get_config() -> ConfigDict:
    """See the head of the file."""
    config = shapes.get_config()
    config.run_dir = "runs/fashion_mnist_small"
    config.data = "fashion_mnist()"
    config.network = "unet(channels=(16, 32), blocks=1, patch=4)"
    config.conditioner = "label(width=32)"
    config.training.steps = 1000
    config.sampling.steps = (16,)
    config.sampling.count = 200
    config.sampling.judged_count = 200
    return config
