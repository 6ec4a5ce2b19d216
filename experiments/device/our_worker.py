"""This library's training step in a process of its own, as `torch_worker` does it.

    python -m experiments.device.our_worker FOLDER [SETTING …]

The settings are the network's, such as "attention_implementation='cudnn'".
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from experiments.weights import load


def main(folder: str, *settings: str) -> None:
    """Answers every line until standard input ends."""
    try:
        first, step = training(Path(folder), settings)
        print(json.dumps({"loss": first}), flush=True)
        for line in sys.stdin:
            print(json.dumps({"seconds": step(int(line))}), flush=True)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        print(json.dumps({"error": reason}), flush=True)


def training(folder: Path, settings: Sequence[str]) -> tuple[float, Callable[[int], float]]:
    """The loss of the first batch, and what makes so many steps and tells their seconds."""
    import jax
    import jax.numpy as jnp

    from diffusion_jax.training.draws import Draws
    from diffusion_jax.training.inputs import Inputs
    from diffusion_jax.training.step import score_losses
    from experiments.device import library
    from experiments.device.problems import problem

    asked = json.loads((folder / "problem.json").read_text())
    given = {name: jnp.asarray(x) for name, x in load(folder / "first.npz").items()}
    batch = len(given["time"])
    own = library.training(problem(asked["name"], asked["small"]), asked["dtype"], settings, batch)
    hyper = library.hyper(batch)
    state = library.first_state(load(folder / "weights.npz"), hyper)
    keys = jax.random.split(jax.random.key(0), batch)
    draws = Draws(given["time"], given["noise"], jnp.zeros(batch, bool), keys)
    rows = {"x0": given["pictures"], "condition": {"label": given["label"]}}
    inputs = Inputs(rows, draws, jax.jit(own.objective.at)(given["time"]))
    first = jax.jit(score_losses(own.network))(state.params, state, hyper, inputs).mean()
    step, number = jax.jit(own.step, donate_argnums=0), 0

    def steps(count: int) -> float:
        nonlocal state, number
        start = time.perf_counter()
        for _ in range(count):
            state, _ = step(state, hyper, own.inputs(number))
            number += 1
        jax.block_until_ready(state)
        return time.perf_counter() - start

    return float(first), steps


if __name__ == "__main__":
    main(*sys.argv[1:])
