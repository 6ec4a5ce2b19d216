"""Trains an arm of one's own by `dj.train`, in however many processes it is started."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax

import diffusion_jax as dj
from diffusion_jax.parallel.devices import is_primary
from diffusion_jax.parallel.processes import start_processes


def main(folder: str) -> None:
    """Prints the parameters that it ends with, from the first process alone."""
    start_processes()
    angles = np.linspace(0, 6, 64)
    ring = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    network = (
        lambda key, x0, condition: {"w": jax.random.normal(key, (2, 2)), "b": jnp.zeros(2)},
        lambda params, x, c_noise, condition, key: x @ params["w"] + params["b"],
    )
    objective = dj.Objective(dj.schedules.Cosine(), dj.predictions.X0())
    arm = dj.Arm("ring", objective, network, optimizer=optax.sgd(0.1), ema="none")
    run_dir = folder if folder != "-" else None
    trained = dj.train(arm, ring, steps=12, batch_size=8, run_dir=run_dir)
    if is_primary():
        leaves = [np.asarray(leaf).ravel() for leaf in jax.tree.leaves(trained["ring"].params)]
        print("parameters", *np.concatenate(leaves).tolist())


if __name__ == "__main__":
    main(sys.argv[1])
