"""What is done to each sample of a batch by itself, whatever its shape."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from diffusion_jax.struct import Scalar


def wide(values: Scalar | Shaped[Array, "..."], x: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
    """Appends axes, so that a value per sample broadcasts against x.

    >>> wide(jnp.ones(3), jnp.ones((3, 4, 4, 1))).shape
    (3, 1, 1, 1)
    """
    values = jnp.asarray(values)
    return values.reshape(values.shape + (1,) * (x.ndim - values.ndim))


def mean_dims(values: Float[Array, "batch ..."]) -> Float[Array, "batch"]:
    """The mean over all but the first axis.

    >>> mean_dims(jnp.array([[1.0, 3.0], [0.0, 0.0]])).tolist()
    [2.0, 0.0]
    """
    return jnp.mean(values, axis=tuple(range(1, values.ndim)))


def mean_square(values: Float[Array, "batch ..."]) -> Float[Array, "batch"]:
    """The mean of the squares over all but the first axis.

    >>> mean_square(jnp.array([[1.0, 3.0], [0.0, 0.0]])).tolist()
    [5.0, 0.0]
    """
    return mean_dims(values**2)


def inner(a: Float[Array, "batch ..."], b: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
    """The inner product of each pair of samples, with axes of 1, so that it multiplies them.

    >>> inner(jnp.ones((2, 3, 4)), jnp.ones((2, 3, 4))).shape
    (2, 1, 1)
    """
    return jnp.sum(a * b, axis=tuple(range(1, a.ndim)), keepdims=True)


def pseudo_huber(square: Float[Array, "..."], c: Scalar) -> Float[Array, "..."]:
    """sqrt(square + c²) - c: half a square over c where it is small, a length where it is large.

    Args:
        square: the square of an error's size.
        c: the size at which it bends.

    Source: Charbonnier et al. 1997; Song & Dhariwal 2023 (improved consistency training), eq. 8.

    >>> float(pseudo_huber(jnp.float32(9.0), 4.0))
    1.0
    """
    # The difference of nearly equal numbers, rationalised.
    return square / (jnp.sqrt(square + c**2) + c)
