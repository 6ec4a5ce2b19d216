"""Training times that follow the losses seen in training."""

from typing import ClassVar

from jaxtyping import Array, Float

from diffusion_jax.errors import UserError, positive, within
from diffusion_jax.process.importance import Chosen, LossHistory
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.process.time_samplers.base import TimeSampler, time_samplers
from diffusion_jax.process.time_samplers.uniform import Uniform
from diffusion_jax.struct import Scalar, pytree, static


@time_samplers.register("loss_aware")
@pytree
class LossAware(TimeSampler):
    """Another distribution, of which training draws each part by p_k ∝ sqrt(E[L_k²]).

    The quantiles of the other are cut into equal parts, the labels k. Training keeps the last
    losses at each (`start`), draws labels by their size (`choose`) and weighs the loss of a draw
    by 1/(labels p_k), so that its mean is what it would be without, and its variance less. Until
    all labels have as many losses as are kept, and to those who do not train, it is the other
    distribution. `loss_aware(time_sampler=discrete(steps=1000), labels=1000)` is the paper's.

    Attributes:
        time_sampler: the distribution.
        labels: equal parts that its quantiles are cut into.
        kept: losses that are remembered of each.
        uniform_share: share of the draws that is spread over all labels, more than 0.

    Source: Nichol & Dhariwal 2021 (improved DDPM), section 3.3, eq. 18.

    >>> import jax.numpy as jnp
    >>> from diffusion_jax.process.schedules import schedules
    >>> float(LossAware().time(jnp.float32(0.25), schedules.make("rectified_flow")))
    0.25
    """

    formula: ClassVar[str] = (
        "p_k = (1 − c) √E[L_k²]/Σⱼ √E[L_j²] + c/K, loss L_k/(K p_k), c = uniform_share, K = labels"
    )

    time_sampler: TimeSampler = Uniform()
    labels: int = static(default=1000)
    kept: int = static(default=10)
    uniform_share: Scalar = 0.001

    def __post_init__(self) -> None:
        within(self, 1, float("inf"), "labels", "kept")
        positive(self, "uniform_share")
        within(self, 0, 1, "uniform_share")
        outermost(self.time_sampler)

    def time(self, u: Float[Array, "*shape"], schedule: Schedule) -> Float[Array, "*shape"]:
        return self.time_sampler.time(u, schedule)

    def stratify(self, u: Float[Array, "batch"]) -> Float[Array, "batch"]:
        return self.time_sampler.stratify(u)

    def start(self) -> LossHistory:
        """What training remembers at first: nothing."""
        return LossHistory.empty(self.labels, self.kept)

    def choose(self, history: LossHistory, u: Float[Array, "batch"]) -> Chosen:
        """The quantiles that training looks at, from uniform ones."""
        return history.choose(u, self.uniform_share)


def outermost(inner: TimeSampler) -> None:
    """Raises UserError if `inner`, the distribution within another, follows the losses itself."""
    if isinstance(inner, LossAware):
        raise UserError(
            "time sampler 'loss_aware' cannot be within others: write the others within it, "
            "such as loss_aware(time_sampler=low_discrepancy)."
        )
