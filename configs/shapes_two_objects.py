"""Two objects and how they lie to each other: the longer run on the built-in shapes.

"a small red circle above a large blue square"; a fifth of the 3,600 scenes is never trained on.
Source: as `quickstart`, which it changes only in data, size and length.
Cost: three arms of 320,000 pictures of 32 × 32; an estimated four hours on two CPU cores, from the
speed of `fashion_mnist`. Not yet run to the end.
Command: python -m experiments.compare --config=configs/shapes_two_objects.py
"""

from ml_collections import ConfigDict

from configs import quickstart


def get_config() -> ConfigDict:
    """See the head of the file."""
    config = quickstart.get_config()
    config.run_dir = "runs/shapes_two_objects"
    config.data = "shapes(level='two', size=32)"
    config.network = "unet(channels=(32, 64, 128), blocks=2, patch=2)"
    config.conditioner = "transformer(width=128, layers=2)"
    config.training.steps = 10_000
    config.training.batch_size = 32
    config.training.checkpoint_every = 500
    return config
