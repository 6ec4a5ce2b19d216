"""`experiments.compare` on the tiny sweep, as a process of its own: `run_tiny.py FOLDER`."""

import sys

import jax

from diffusion_jax.parallel import devices
from experiments import cli, compare
from tests.sweeps import tiny

if __name__ == "__main__":
    folder = sys.argv.pop()
    whole = devices.data_mesh
    devices.data_mesh = lambda d=None: whole(d or jax.devices()[:1])
    config = tiny.get_config()
    config.run_dir = folder
    cli.run(lambda _: compare.sweep(config, tiny.__file__))
