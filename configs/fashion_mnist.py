"""Two noise schedules on Fashion-MNIST, with captions from the class names.

Source: cosine (Nichol & Dhariwal 2021) and EDM (Karras et al. 2022); the network and recipe are
`quickstart`'s.
Cost: two arms of 48,000 pictures of 32 × 32 grey pixels.
Data: TFDS downloads it; without internet, --config.data="fashion_mnist(manual_dir='…')".
Command: python -m experiments.compare --config=configs/fashion_mnist.py
"""

from ml_collections import ConfigDict

from configs import quickstart


def get_config() -> ConfigDict:
    """See the head of the file."""
    config = quickstart.get_config()
    config.run_dir = "runs/fashion_mnist"
    config.data = "fashion_mnist()"
    config.arms = ConfigDict({name: config.arms[name].to_dict() for name in ("cosine", "edm")})
    config.training.steps = 3000
    config.sampling.steps = (8, 16)
    config.sampling.count = 300
    return config
