"""What an objective of few-step training is, the registry of all, and what they share."""

import dataclasses
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from jaxtyping import Array, Float

from diffusion_jax.errors import UserError
from diffusion_jax.process.level import Level
from diffusion_jax.process.per_sample import wide
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.registry import Registry
from diffusion_jax.sampling.solvers.base import Denoise

# (x (batch, ...), its time (batch,), the time to go to (batch,)) → output (batch, ...)
TwoTimeNetwork = Callable[
    [Float[Array, "batch ..."], Float[Array, "batch"], Float[Array, "batch"]],
    Float[Array, "batch ..."],
]


@dataclasses.dataclass(frozen=True)
class Networks:
    """The functions that an objective may ask.

    Attributes:
        student: the network with the parameters that are trained.
        target: the same with parameters that are not: the student's own, or their moving average.
            Its outputs are constants to every objective.
        teacher: a denoiser that is followed, (x, level) → E[x_0 | x] with levels (batch,).
    """

    student: TwoTimeNetwork
    target: TwoTimeNetwork
    teacher: Denoise | None = None

    def followed(self) -> Denoise:
        """The teacher.

        Raises:
            UserError: there is none.
        """
        if self.teacher is None:
            raise UserError("this objective distils a teacher, and none was given.")
        return self.teacher


@runtime_checkable
class FewStep(Protocol):
    """An objective: a loss for each sample, and what the trained network stands for.

    Times are those of the objective's own path of noise levels.
    """

    @property
    def teaches(self) -> bool:
        """Whether it follows a teacher."""
        ...

    @property
    def average(self) -> bool:
        """Whether its target is the moving average of the student's parameters."""
        ...

    @property
    def tells_end(self) -> bool:
        """Whether the network is given the time to go to, and not only its own."""
        ...

    @property
    def denoises(self) -> bool:
        """Whether it estimates E[x_0 | x] where it goes nowhere.

        Otherwise it is a consistency function, which goes to the data whatever the end.
        """
        ...

    @property
    def inherits(self) -> bool:
        """Whether its network is that of a denoiser which predicts EDM's F, and may start as one.

        It is then given the same c_noise, and scales x and F alike.
        """
        ...

    @property
    def paced(self) -> bool:
        """Whether its loss depends on the part of the training that is done, as curricula do."""
        ...

    @property
    def draws(self) -> int:
        """How many uniform numbers a sample of the loss takes."""
        ...

    @property
    def schedule(self) -> Schedule:
        """The path that it is trained on, whose times are its own."""
        ...

    def c_noise(self, time: Float[Array, "batch"]) -> Float[Array, "batch"]:
        """What a score network is given for a time, or a distance in time: about [-2.5, 2.5]."""
        ...

    def estimate(
        self,
        network: TwoTimeNetwork,
        x: Float[Array, "batch ..."],
        time: Float[Array, "batch"],
        end: Float[Array, "batch"],
    ) -> Float[Array, "batch ..."]:
        """The x_0 by which one step of DDIM lands where the flow leads, from `time` to `end`.

        At end = time that is E[x_0 | x], on clean data the data itself: see `jump`.
        """
        ...

    def loss(
        self,
        networks: Networks,
        x0: Float[Array, "batch ..."],
        eps: Float[Array, "batch ..."],
        uniform: Float[Array, "batch draws"],
        progress: Float[Array, ""],
    ) -> Float[Array, "batch"]:
        """The loss of each sample.

        Args:
            networks: whose student is differentiated.
            x0: data.
            eps: standard normal noise.
            uniform: what times are made of, in [0, 1).
            progress: the part of the training that is done, in [0, 1], for curricula.
        """
        ...


fewstep: Registry[FewStep] = Registry("few-step objective", FewStep)


def ddim(
    x: Float[Array, "batch ..."], x0: Float[Array, "batch ..."], here: Level, there: Level
) -> Float[Array, "batch ..."]:
    """alpha_s x_0 + sigma_s eps, for levels (batch,).

    >>> import jax.numpy as jnp
    >>> ends = [Level(jnp.array([a]), jnp.array([s])) for a, s in ((0.5, 0.5), (0.75, 0.25))]
    >>> ddim(jnp.array([[1.0]]), jnp.array([[2.0]]), *ends).tolist()
    [[1.5]]
    """
    eps = (x - wide(here.alpha, x) * x0) / wide(here.sigma, x)
    return there.mix(x0, eps)


def jump(
    objective: FewStep,
    network: TwoTimeNetwork,
    x: Float[Array, "batch ..."],
    time: Float[Array, "batch"],
    end: Float[Array, "batch"],
) -> Float[Array, "batch ..."]:
    """Where the network takes x along the flow, from `time` to `end`, as its estimate says."""
    here, there = objective.schedule.level(time), objective.schedule.level(end)
    return ddim(x, objective.estimate(network, x, time, end), here, there)
