"""Importance sampling of training times by the losses seen at them."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from diffusion_jax.struct import Scalar, pytree


@pytree
class LossHistory:
    """The last losses at each label of a chain; labels are drawn in proportion to their size.

    p_k is proportional to sqrt(E[L_k²]) once every label has been seen often enough, and uniform
    until then. The variance of the estimate of sum_k L_k by L_k/p_k is then least. A value of its
    own: `update` returns the next.

    Attributes:
        losses: the last `kept` losses at each label, (labels, kept).
        count: how many there were at each, (labels,).

    Source: Nichol & Dhariwal 2021 (improved DDPM), eq. 18.

    >>> history = LossHistory.empty(labels=2, kept=1)
    >>> history = history.update(jnp.array([0, 1]), jnp.array([3.0, 1.0]))
    >>> [round(float(p), 2) for p in history.probabilities(uniform_share=0.0)]
    [0.75, 0.25]
    """

    losses: Float[Array, "labels kept"]
    count: Int[Array, "labels"]

    @staticmethod
    def empty(labels: int, kept: int = 10) -> "LossHistory":
        """A history without any losses."""
        return LossHistory(jnp.zeros((labels, kept)), jnp.zeros(labels, int))

    def update(self, labels: Int[Array, "batch"], losses: Float[Array, "batch"]) -> "LossHistory":
        """With the losses of a batch, one after the other, each in place of the oldest there."""

        def put(history: "LossHistory", seen: tuple[Array, Array]) -> tuple["LossHistory", None]:
            label, loss = seen
            place = history.count[label] % history.losses.shape[1]
            return LossHistory(
                history.losses.at[label, place].set(loss), history.count.at[label].add(1)
            ), None

        return jax.lax.scan(put, self, (labels, losses))[0]

    def probabilities(self, uniform_share: Scalar = 0.001) -> Float[Array, "labels"]:
        """The probability of each label.

        Args:
            uniform_share: share that is spread over all labels, so that none is forgotten.
        """
        labels, kept = self.losses.shape
        size = jnp.sqrt(jnp.mean(self.losses**2, axis=1))
        uniform = jnp.full(labels, 1 / labels, size.dtype)
        # All losses may be 0, which tells no label from another.
        known = jnp.all(self.count >= kept) & jnp.any(size > 0)
        share = jnp.where(known, size / jnp.maximum(jnp.sum(size), jnp.finfo(size.dtype).tiny), 0)
        return jnp.where(known, (1 - uniform_share) * share + uniform_share * uniform, uniform)

    def draw(
        self, u: Float[Array, "batch"], uniform_share: Scalar = 0.001
    ) -> tuple[Int[Array, "batch"], Float[Array, "batch"]]:
        """Labels at quantiles u in (0, 1), and 1/(labels · p) of each, which makes up for p.

        The mean of weight · loss is that of the loss under uniform labels.
        """
        p = self.probabilities(uniform_share)
        label = jnp.searchsorted(jnp.cumsum(p), u)
        label = jnp.minimum(label, p.shape[0] - 1)  # the sum of all may round to less than 1
        return label, 1 / (p.shape[0] * p[label])
