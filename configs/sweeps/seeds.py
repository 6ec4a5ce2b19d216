"""The arms of a config with several training seeds: what another seed would change.

Source: of the config.
Cost: a training of every arm for every seed.
Command: python -m experiments.compare --config=configs/quickstart.py \\
    --sweep=configs/sweeps/seeds.py:5
"""

from diffusion_jax.sweeps import Sweep, axis


def get_sweep(count: str = "3") -> Sweep:
    """See the head of the file; `count` is the number of seeds, after a colon."""
    return Sweep(axis("seed", *range(int(count))), title="Do the differences outlast a seed?")
