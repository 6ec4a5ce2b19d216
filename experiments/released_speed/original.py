"""diffusers' half: models built and saved, and run in inference mode without compilation."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from experiments.parity.kinds import stable_diffusion
from experiments.parity.original import make_scheduler, randomise
from experiments.released_speed import problems
from experiments.released_speed.problems import FORWARD

Run = Callable[[], np.ndarray]
GAIN = 0.6  # of random weights, so that rounding errors do not grow over the steps


def use_all_cores() -> None:
    """As many threads as the process has cores, which is what JAX takes."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))


def forward(name: str, folder: Path) -> Run:
    """Saves a network, and gives a pass of it."""
    problem = FORWARD[name]
    model = problem.network.build(problem.options).eval()
    randomise(model, np.random.default_rng(1))
    model.save_pretrained(folder)
    given = {
        k: torch.from_numpy(array) for k, array in problem.inputs(np.random.default_rng(0)).items()
    }

    def run() -> np.ndarray:
        with torch.inference_mode():
            return np.asarray(problem.network.call(model, given)["output"])

    return run


def pipeline(folder: Path) -> Run:
    """Saves a pipeline, and gives a picture of it."""
    pipe = stable_diffusion.build(problems.PIPELINE, make_scheduler(problems.SCHEDULER))
    random = np.random.default_rng(0)
    for name in ("text_encoder", "unet", "vae"):
        randomise(pipe.components[name].eval(), random, GAIN)
    pipe.set_progress_bar_config(disable=True)
    pipe.save_pretrained(folder)
    start = torch.from_numpy(problems.start())

    def run() -> np.ndarray:
        return np.asarray(
            pipe(
                problems.PROMPT,
                height=problems.HEIGHT,
                width=problems.WIDTH,
                num_inference_steps=problems.STEPS,
                guidance_scale=problems.GUIDANCE,
                latents=start.clone(),
                output_type="np",
            ).images
        )

    return run
