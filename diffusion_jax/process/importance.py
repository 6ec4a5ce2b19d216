"""Importance sampling of training times by the losses seen at them."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from diffusion_jax.struct import Scalar, pytree


@pytree
class Chosen:
    """Quantiles of training times that a history chose.

    Attributes:
        u: the quantiles, (batch,) in (0, 1).
        label: the label within which each lies, (batch,).
        weight: 1/(labels · p) of each, (batch,): times it, the mean of the losses at u is that
            under uniform quantiles.
    """

    u: Float[Array, "batch"]
    label: Int[Array, "batch"]
    weight: Float[Array, "batch"]


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
        total, kept = self.losses.shape
        # Rows of one label next to each other, in their order; then all are written at once.
        order = jnp.argsort(labels)
        label, row = labels[order], jnp.arange(labels.shape[0])
        earlier = row - jnp.searchsorted(label, label)
        later = jnp.searchsorted(label, label, side="right") - 1 - row
        place = (self.count[label] + earlier) % kept
        # What later rows of the batch replace is not written: `total` is no label.
        written = self.losses.at[jnp.where(later < kept, label, total), place].set(
            losses[order].astype(self.losses.dtype), mode="drop"
        )
        return LossHistory(written, self.count.at[labels].add(1))

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

    def choose(self, u: Float[Array, "batch"], uniform_share: Scalar = 0.001) -> Chosen:
        """Turns uniform quantiles into those of the density labels · p_k within label k.

        Label k is the k-th of equal parts of (0, 1); within it the quantile is uniform.

        Args:
            u: uniform draws in (0, 1).
            uniform_share: as in `probabilities`.

        >>> history = LossHistory(jnp.array([[3.0], [1.0]]), jnp.array([1, 1]))
        >>> chosen = history.choose(jnp.array([0.375, 0.875]), uniform_share=0.0)
        >>> chosen.u.tolist()
        [0.25, 0.75]
        """
        p = self.probabilities(uniform_share)
        labels, end = p.shape[0], jnp.cumsum(p)
        # The sum of all may round to less than 1.
        label = jnp.minimum(jnp.searchsorted(end, u), labels - 1)
        # An end of a label, where u and the sums round, would count as one of its neighbour.
        within = jnp.clip(1 - (end[label] - u) / p[label], 1e-4, 1 - 1e-4)
        return Chosen((label + within) / labels, label, 1 / (labels * p[label]))
