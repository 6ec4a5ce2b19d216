"""What every library is given.

To sample: one network, one grid, one solver, one start. EDM's process and preconditioning,
DPM-Solver++(2M) on Karras's grid from sigma 80 to 0.002 and then to clean data. All libraries must
end on the same samples.

To train: one network, the same pictures, noise and times. The rectified flow's velocity, plain
squared error. All libraries must have the same losses.
"""

import dataclasses
from typing import NamedTuple

import numpy as np  # and, in the peers' processes, nothing else

from experiments.device.inputs import SIGMA_DATA
from experiments.weights import Arrays

STEPS, UPDATES = 20, 3
SIGMA_MIN, SIGMA_MAX, RHO = 0.002, 80.0, 7.0


@dataclasses.dataclass(frozen=True)
class PeerProblem:
    """A network by its spec, the shape of a sample, and how many are drawn or trained on at once.

    Attributes:
        trains: whether the network is trained, for `UPDATES` at a time, or sampled.
    """

    network: str
    shape: tuple[int, ...]
    batch: int
    means: str
    trains: bool = False


class Batch(NamedTuple):
    """Pictures and noise, (batch, height, width, channels), and times in (0, 1), (batch,)."""

    pictures: np.ndarray
    noise: np.ndarray
    time: np.ndarray


U_NET = "unet(channels=(64, 128, 224), blocks=2, attention=(2,))"
DIT = "dit(patch=2, width=256, depth=8, heads=8)"
PROBLEMS = {
    "overhead": PeerProblem("mlp(width=16, depth=1)", (8,), 4, "a tiny MLP"),
    "compute": PeerProblem(U_NET, (32, 32, 3), 4, "a U-Net"),
    "train_unet": PeerProblem(U_NET, (32, 32, 3), 16, "a U-Net", trains=True),
    "train_dit": PeerProblem(DIT, (32, 32, 3), 16, "a DiT", trains=True),
}


def weights(problem: PeerProblem) -> Arrays:
    """Random parameters of the problem's network, by their path in flax, none of them zero."""
    from diffusion_jax.networks.score_network import build
    from experiments.device import library

    return library.first_weights(build(problem.network), problem.shape)


def start(problem: PeerProblem) -> np.ndarray:
    """The noise that every library starts from, (batch, …), at sigma_max."""
    shape = (problem.batch, *problem.shape)
    return np.float32(SIGMA_MAX) * np.random.default_rng(1).normal(size=shape).astype(np.float32)


def batches(problem: PeerProblem) -> list[Batch]:
    """What every library is trained on, a batch for each update."""
    random, shape = np.random.default_rng(1), (problem.batch, *problem.shape)

    def batch() -> Batch:
        pictures, noise = (random.normal(size=shape).astype(np.float32) for _ in range(2))
        time = random.uniform(0.05, 0.95, problem.batch).astype(np.float32)
        return Batch(np.float32(SIGMA_DATA) * pictures, noise, time)

    return [batch() for _ in range(UPDATES)]
