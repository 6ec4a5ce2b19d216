"""A network that was trained for few steps, as a denoiser that knows where a step ends."""

import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from diffusion_jax.fewstep.base import FewStep, TwoTimeNetwork
from diffusion_jax.process.denoiser import Denoiser, Network
from diffusion_jax.process.level import Level
from diffusion_jax.process.per_sample import wide
from diffusion_jax.process.predictions import X0, Coefficients
from diffusion_jax.sampling.integrate import scale
from diffusion_jax.struct import pytree


def of_two_times(objective: FewStep, network: Network, condition: PyTree = None) -> TwoTimeNetwork:
    """The function of two times that a score network is.

    It is given the time and, if the objective says so, how far it is to the end.

    >>> from diffusion_jax.fewstep.shortcut import Shortcut
    >>> shows = lambda x, c_noise, condition: c_noise
    >>> of_two_times(Shortcut(), shows)(jnp.zeros((1, 3)), jnp.ones(1), jnp.full(1, 0.5)).tolist()
    [[2.5, 0.0]]
    """

    def call(
        x: Float[Array, "batch ..."], time: Float[Array, "batch"], end: Float[Array, "batch"]
    ) -> Float[Array, "batch ..."]:
        c_noise = objective.c_noise(time)
        if objective.tells_end:
            c_noise = jnp.stack([c_noise, objective.c_noise(time - end)], axis=1)
        return network(x, c_noise, condition)

    return call


def fewstep_denoiser(objective: FewStep, network: Network) -> Denoiser:
    """The denoiser that a trained network is, at the levels of any process; it knows the end.

    Args:
        objective: that it was trained with.
        network: (x, c_noise, condition) → output.

    >>> from diffusion_jax.fewstep.shortcut import Shortcut
    >>> denoise = fewstep_denoiser(Shortcut(), lambda x, c_noise, condition: 0 * x + 1)
    >>> levels = Level(jnp.array([0.0, 0.5, 1.0]), jnp.array([1.0, 0.5, 0.0]))
    >>> start, half, data = (Level(levels.alpha[i], levels.sigma[i]) for i in range(3))
    >>> denoise(jnp.ones((1, 2)), half, end=data).tolist()
    [[0.5, 0.5]]
    """
    path = objective.schedule

    def estimate(
        x: Float[Array, "batch ..."], here: Level, condition: PyTree, end: Level | None
    ) -> Float[Array, "batch ..."]:
        batch, there = (x.shape[0],), here if end is None else end
        time, stop = (jnp.broadcast_to(path.time(each.log_snr), batch) for each in (here, there))
        # At the same log-SNR, processes differ in the scale of x alone.
        own = wide(scale(path.level(time)) / scale(here), x) * x
        return objective.estimate(of_two_times(objective, network, condition), own, time, stop)

    return Denoiser(estimate, knows_end=True, denoises=objective.denoises)


@pytree
class FewStepPrediction:
    """What a network predicts that was trained with a few-step objective: an x_0, of its own kind.

    Attributes:
        objective: that it was trained with.

    >>> from diffusion_jax.fewstep.shortcut import Shortcut
    >>> FewStepPrediction(Shortcut()).denoises
    True
    """

    objective: FewStep

    @property
    def denoises(self) -> bool:
        """Whether it is E[x_0 | x] for a step of no length."""
        return self.objective.denoises

    def coefficients(self, level: Level) -> Coefficients:
        """Those of x_0."""
        return X0().coefficients(level)

    def denoiser(self, network: Network) -> Denoiser:
        """See `fewstep_denoiser`."""
        return fewstep_denoiser(self.objective, network)
