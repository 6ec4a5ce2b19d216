"""How each library trains: a function from batches to the loss of each before its update.

A step is forward, backward, Adam and the running average of the parameters, in float32.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from experiments.device.inputs import DECAY, LEARNING_RATE, SIGMA_DATA
from experiments.peers.problem import Batch, PeerProblem
from experiments.weights import Arrays

Train = Callable[[Sequence[Batch]], np.ndarray]


def ours(problem: PeerProblem, weights: Arrays) -> Train:
    """This library's own training step, its metrics included, as `train` calls it."""
    import jax
    import jax.numpy as jnp

    from diffusion_jax.networks.score_network import build
    from diffusion_jax.process.objective import Objective
    from diffusion_jax.training.draws import Draws
    from diffusion_jax.training.inputs import Inputs
    from diffusion_jax.training.step import make_train_step, score_losses
    from experiments.device import library

    hyper = library.hyper(problem.batch)
    objective = Objective.make("rectified_flow", "velocity", "uniform", "simple", SIGMA_DATA)
    points = jax.jit(objective.at)
    step = jax.jit(make_train_step(score_losses(build(problem.network))), donate_argnums=0)
    state = library.first_state(weights, hyper)
    kept = jnp.zeros(problem.batch, bool)
    keys = jax.random.split(jax.random.key(0), problem.batch)

    def update(batch: Batch) -> jax.Array:
        nonlocal state
        pictures, noise, time = map(jnp.asarray, batch)
        draws = Draws(time, noise, kept, keys)
        rows: dict[str, Any] = {"x0": pictures, "condition": {}}
        state, metrics = step(state, hyper, Inputs(rows, draws, points(time)))
        return metrics["loss"]

    def train(batches: Sequence[Batch]) -> np.ndarray:
        losses = [update(batch) for batch in batches]
        jax.block_until_ready(state)
        return np.asarray(losses)

    return train


def pytorch(problem: PeerProblem, weights: Arrays) -> Train:
    """PyTorch without compilation, with its fused Adam."""
    import torch

    from experiments.peers.torch_networks import forward, parameters

    network, params = forward(problem.network.split("(")[0]), parameters(weights)
    leaves = [leaf.requires_grad_() for leaf in params.values()]
    average = [leaf.detach().clone() for leaf in leaves]
    optimizer = torch.optim.Adam(leaves, lr=LEARNING_RATE, fused=True)
    count = 0

    def update(batch: Batch) -> torch.Tensor:
        nonlocal count
        pictures, noise = (
            torch.from_numpy(each).permute(0, 3, 1, 2).contiguous()
            for each in (batch.pictures, batch.noise)
        )
        time = torch.from_numpy(batch.time)
        t = time[:, None, None, None]
        scale = (t**2 + ((1 - t) * SIGMA_DATA) ** 2).rsqrt()
        label = (time / (1 - time)).log() / 4
        prediction = network(params, scale * ((1 - t) * pictures + t * noise), label)
        loss = (prediction - (noise - pictures)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        count += 1
        with torch.no_grad():
            torch._foreach_lerp_(average, leaves, (1 - DECAY) / (1 - DECAY**count))
        return loss.detach()

    return lambda batches: np.array([float(update(batch)) for batch in batches])


LIBRARIES = {"diffusion_jax": ours, "PyTorch": pytorch}
