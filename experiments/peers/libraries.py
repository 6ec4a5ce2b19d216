"""How each library draws the samples: a function from the starting noise to the end."""

import importlib.util
import sys
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import numpy as np

from experiments.device.inputs import SIGMA_DATA
from experiments.peers.problem import RHO, SIGMA_MAX, SIGMA_MIN, STEPS, PeerProblem
from experiments.weights import Arrays, nested

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

Draw = Callable[[np.ndarray], np.ndarray]


def ours(problem: PeerProblem, weights: Arrays) -> Draw:
    """This library: the whole run is one compiled program."""
    import jax
    import jax.numpy as jnp
    from jaxtyping import PyTree

    from diffusion_jax.networks.score_network import Condition, build
    from diffusion_jax.process.denoiser import from_network
    from diffusion_jax.process.predictions import predictions
    from diffusion_jax.process.schedules import schedules
    from diffusion_jax.sampling.grids import grids, make
    from diffusion_jax.sampling.loop import sample_from, sample_keys
    from diffusion_jax.sampling.solvers import solvers

    network, params = build(problem.network), nested(weights)
    prediction = predictions.make("edm", sigma_data=SIGMA_DATA)
    nodes = make(grids.make(f"karras(rho={RHO})"), schedules.make("edm"), STEPS)
    solver, keys = solvers.make("dpmpp_2m"), sample_keys(jax.random.key(0), problem.batch)

    @jax.jit
    def draw(params: PyTree, x: jax.Array) -> jax.Array:
        def predict(x: jax.Array, c_noise: jax.Array, condition: Condition) -> jax.Array:
            found = network.for_sampling().apply({"params": params}, x, c_noise, {})
            return cast(jax.Array, found)

        return sample_from(from_network(predict, prediction, SIGMA_DATA), solver, nodes, x, keys)[0]

    params = jax.tree.map(jnp.asarray, params)
    return lambda x: np.asarray(draw(params, x))


def diffusers(problem: PeerProblem, weights: Arrays) -> Draw:
    """diffusers' EDMDPMSolverMultistepScheduler, in the loop that its documentation shows."""
    import torch
    from diffusers import EDMDPMSolverMultistepScheduler

    network = _torch_network(problem, weights)
    scheduler = EDMDPMSolverMultistepScheduler(
        sigma_min=SIGMA_MIN, sigma_max=SIGMA_MAX, sigma_data=SIGMA_DATA, rho=RHO, solver_order=2
    )

    def draw(x: torch.Tensor) -> torch.Tensor:
        scheduler.set_timesteps(STEPS)
        for t in scheduler.timesteps:
            scaled = scheduler.scale_model_input(x, t)
            x = scheduler.step(network(scaled, t.expand(len(x))), t, x).prev_sample
        return x

    return _torch_draw(draw)


def k_diffusion(problem: PeerProblem, weights: Arrays) -> Draw:
    """k-diffusion's sample_dpmpp_2m on its own preconditioned denoiser."""
    import torch

    _without_pictures()
    from k_diffusion.layers import Denoiser
    from k_diffusion.sampling import get_sigmas_karras, sample_dpmpp_2m

    # It hands sigma itself to the network, whose own business the label is.
    network = _torch_network(problem, weights, label=lambda sigma: sigma.log() / 4)
    denoiser = Denoiser(network, sigma_data=SIGMA_DATA)

    def draw(x: torch.Tensor) -> torch.Tensor:
        sigmas = get_sigmas_karras(STEPS, SIGMA_MIN, SIGMA_MAX, RHO)
        return sample_dpmpp_2m(denoiser, x, sigmas, disable=True)

    return _torch_draw(draw)


def _without_pictures() -> None:
    """Imports k-diffusion without the parts that look at pictures.

    They want a torchvision of the very build of PyTorch, CLIP and more; sampling needs none of it.
    """
    spec = importlib.util.find_spec("k_diffusion")
    package = types.ModuleType("k_diffusion")
    package.__path__ = list(spec.submodule_search_locations or ()) if spec else []
    transforms = types.ModuleType("torchvision.transforms")
    transforms.functional = types.ModuleType("functional")  # type: ignore[attr-defined]
    sys.modules |= {
        "k_diffusion": package,
        "torchvision": types.ModuleType("torchvision"),
        "torchvision.transforms": transforms,
    }


def _torch_network(
    problem: PeerProblem,
    weights: Arrays,
    label: "Callable[[Tensor], Tensor]" = lambda label: label,
) -> "Module":
    """A module, because k-diffusion asks for one."""
    import torch

    from experiments.peers.torch_networks import network

    call = network(problem.network.split("(")[0], weights)

    class Network(torch.nn.Module):
        def forward(self, x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
            return call(x, label(noise))

    return Network()


def _torch_draw(draw: "Callable[[Tensor], Tensor]") -> Draw:
    """Pictures go in and come out with their channels last."""
    import torch

    def call(x: np.ndarray) -> np.ndarray:
        tensor = torch.from_numpy(x)
        pictures = tensor.ndim == 4
        with torch.inference_mode():
            end = draw(tensor.permute(0, 3, 1, 2).contiguous() if pictures else tensor)
            return np.asarray(end.permute(0, 2, 3, 1) if pictures else end)

    return call


LIBRARIES = {"diffusion_jax": ours, "diffusers": diffusers, "k-diffusion": k_diffusion}
