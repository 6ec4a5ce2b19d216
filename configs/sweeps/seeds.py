"""The arms of a config with several training seeds: what another seed would change.

Source: of the config.
Cost: a training of every arm for every seed.
Command: python -m experiments.compare --config=configs/quickstart.py \\
    --sweep=configs/sweeps/seeds.py:5
"""

from diffusion_jax.errors import UserError
from diffusion_jax.sweeps import Sweep, axis
from diffusion_jax.sweeps.axes import MOST


def get_sweep(count: str = "3") -> Sweep:
    """See the head of the file; `count` is the number of seeds, after a colon."""
    seeds = int(count)
    if not 1 <= seeds <= MOST:
        raise UserError(f"from 1 to {MOST:,} seeds, not {seeds:,}")
    return Sweep(axis("seed", *range(seeds)), title="Do the differences outlast a seed?")
