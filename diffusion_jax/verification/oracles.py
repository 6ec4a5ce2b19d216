"""Data whose denoiser is known exactly: what schedules and solvers are held against."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from diffusion_jax.process.level import Level
from diffusion_jax.struct import pytree


@pytree
class Gaussian:
    """Independent normal dimensions, x_0 ~ N(mean, std²).

    Attributes:
        mean: (dim,).
        std: (dim,); zeros are data at a single point.

    >>> data = Gaussian(mean=jnp.zeros(2), std=jnp.ones(2))
    >>> float(data.denoise(jnp.ones((1, 2)), Level(jnp.array(0.6), jnp.array(0.8)))[0, 0])
    0.6...
    """

    mean: Float[Array, "dim"]
    std: Float[Array, "dim"]

    def denoise(
        self, x: Float[Array, "batch dim"], level: Level, condition: PyTree = None
    ) -> Float[Array, "batch dim"]:
        """E[x_0 | x] = mean + alpha std²/(alpha² std² + sigma²) (x - alpha mean)."""
        level = level.like(x)
        gain = level.alpha * self.std**2 / ((level.alpha * self.std) ** 2 + level.sigma**2)
        return self.mean + gain * (x - level.alpha * self.mean)

    def flow(
        self, x: Float[Array, "batch dim"], start: Level, end: Level
    ) -> Float[Array, "batch dim"]:
        """The exact probability flow from level `start` to level `end`: standard scores stay."""
        start, end = start.like(x), end.like(x)
        before = jnp.sqrt((start.alpha * self.std) ** 2 + start.sigma**2)
        after = jnp.sqrt((end.alpha * self.std) ** 2 + end.sigma**2)
        return end.alpha * self.mean + after / before * (x - start.alpha * self.mean)

    def log_density(self, x: Float[Array, "batch dim"], level: Level) -> Float[Array, "batch"]:
        """log p(x) at a level, in nats: normal around alpha mean, variance alpha² std² + sigma²."""
        level = level.like(x)
        variance = (level.alpha * self.std) ** 2 + level.sigma**2
        terms = (x - level.alpha * self.mean) ** 2 / variance + jnp.log(2 * jnp.pi * variance)
        return -jnp.sum(terms, axis=1) / 2

    def sample(self, key: Key[Array, ""], count: int) -> Float[Array, "count dim"]:
        """Draws data, (count, dim)."""
        return self.mean + self.std * jax.random.normal(key, (count, *self.mean.shape))


@pytree
class GaussianMixture:
    """A mixture of isotropic normal components.

    Attributes:
        weights: (components,), summing to 1.
        means: (components, dim).
        stds: (components,).

    >>> data = GaussianMixture(jnp.array([0.5, 0.5]), jnp.array([[-1.0], [1.0]]), jnp.full(2, 0.1))
    >>> float(data.denoise(jnp.zeros((1, 1)), Level(jnp.array(0.6), jnp.array(0.8)))[0, 0])
    0.0
    """

    weights: Float[Array, "components"]
    means: Float[Array, "components dim"]
    stds: Float[Array, "components"]

    def _joint(self, x: Float[Array, "batch dim"], level: Level) -> tuple[Array, Array, Array]:
        """Log joint densities up to a constant, offsets x - alpha mean, and variances.

        Of shapes (batch, components), (batch, components, dim) and what broadcasts to the first.
        """
        level = level.like(x)
        offset = x[:, None, :] - level.alpha[..., None] * self.means
        variance = (level.alpha * self.stds) ** 2 + level.sigma**2
        distance = jnp.sum(offset**2, axis=-1) / (2 * variance)
        logits = jnp.log(self.weights) - distance - x.shape[1] / 2 * jnp.log(variance)
        return logits, offset, variance

    def denoise(
        self, x: Float[Array, "batch dim"], level: Level, condition: PyTree = None
    ) -> Float[Array, "batch dim"]:
        """E[x_0 | x] = sum_k r_k (mean_k + alpha std_k²/v_k (x - alpha mean_k)).

        v_k = alpha² std_k² + sigma², and r_k proportional to weight_k N(x; alpha mean_k, v_k I).

        Args:
            x: noisy data, (batch, dim).
            level: its level, () or (batch,).
            condition: a component for each sample, (batch,) integers; None is the whole mixture,
                and so is -1.
        """
        logits, offset, variance = self._joint(x, level)
        responsible = jax.nn.softmax(logits, axis=-1)
        if condition is not None:
            chosen = jax.nn.one_hot(condition, self.weights.shape[0], dtype=x.dtype)
            responsible = jnp.where((condition < 0)[:, None], responsible, chosen)
        gain = level.like(x).alpha * self.stds**2 / variance
        return jnp.sum(responsible[..., None] * (self.means + gain[..., None] * offset), axis=1)

    def log_density(self, x: Float[Array, "batch dim"], level: Level) -> Float[Array, "batch"]:
        """log p(x) at a level, in nats: log sum_k weight_k N(x; alpha mean_k, v_k I)."""
        logits, _, _ = self._joint(x, level)
        return jax.nn.logsumexp(logits, axis=-1) - x.shape[1] / 2 * jnp.log(2 * jnp.pi)

    def sample(self, key: Key[Array, ""], count: int) -> Float[Array, "count dim"]:
        """Draws data, (count, dim)."""
        which, noise = jax.random.split(key)
        k = jax.random.choice(which, self.weights.shape[0], (count,), p=self.weights)
        return self.means[k] + self.stds[k, None] * jax.random.normal(noise, self.means[k].shape)


@pytree
class Empirical:
    """The empirical distribution of a finite set, such as all pictures of a training set.

    Its exact denoiser is what a network that fits the training set perfectly would be: its
    samples are the training pictures themselves.

    Attributes:
        points: (count, ...), each as likely as the others.

    >>> data = Empirical(jnp.array([[-1.0], [1.0]]))
    >>> float(data.denoise(jnp.zeros((1, 1)), Level(jnp.array(0.6), jnp.array(0.8)))[0, 0])
    0.0
    """

    points: Float[Array, "count ..."]

    def denoise(
        self, x: Float[Array, "batch ..."], level: Level, condition: PyTree = None
    ) -> Float[Array, "batch ..."]:
        """E[x_0 | x], the mean of the points weighted by N(x; alpha point, sigma² I)."""
        points = self.points.reshape(self.points.shape[0], -1)
        flat = x.reshape(x.shape[0], -1)
        level = level.like(flat)
        # |x - alpha p|² up to |x|², which all points share.
        distance = level.alpha**2 * jnp.sum(points**2, axis=1) - 2 * level.alpha * flat @ points.T
        responsible = jax.nn.softmax(-distance / (2 * level.sigma**2), axis=1)
        return (responsible @ points).reshape(x.shape)
