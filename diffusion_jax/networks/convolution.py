"""3 × 3 convolutions of trained networks, by fewer multiplications where that is faster.

Winograd's F(2 × 2, 3 × 3) makes four neighbouring outputs of sixteen products in place of
thirty-six: with tiles d of 4 × 4 inputs that overlap by two,

    y = A' [(G w G') ⊙ (B' d B)] A,

summed over channels, which is one matrix product for each of the sixteen places. G w G' does not
depend on the picture, so that a sampling loop computes it once. On CPU that takes half the time of
XLA's own convolution (`python -m experiments.benchmark_peers`). In training, with gradients by
tiles too, it takes a tenth off a step of a U-Net and compiles for nearly four times as long, and a
function with such gradients has no `jvp`. On GPU libraries choose for themselves.

Source: Lavin & Gray 2016 (fast algorithms for convolutional neural networks), section 4.1.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

LEAST = 16  # channels, below which the products are too thin to gain
DIMENSIONS = ("NHWC", "HWIO", "NHWC")

Pictures = Float[Array, "batch height width inputs"]
Kernel = Float[Array, "3 3 inputs outputs"]
Result = Float[Array, "batch height width outputs"]


def convolve(x: Pictures, kernel: Kernel, *arguments: object, **settings: object) -> Result:
    """A 3 × 3 convolution of stride 1 that keeps the size, however it is computed.

    Args:
        x: (batch, height, width, inputs).
        kernel: (3, 3, inputs, outputs).
        arguments: what `flax.linen.Conv` says besides, which for such a convolution is known.
        settings: the same by name.

    >>> convolve(jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1)))[0, :2, :2, 0].tolist()
    [[4.0, 6.0], [6.0, 9.0]]
    """
    _, height, width, inputs = x.shape
    thin = min(inputs, kernel.shape[-1]) < LEAST
    if height % 2 or width % 2 or thin or x.dtype == jnp.bfloat16:  # of too few digits for sums
        return direct(x, kernel)
    return jax.lax.platform_dependent(x, kernel, cpu=winograd, default=direct)


def direct(x: Pictures, kernel: Kernel) -> Result:
    """As XLA does it."""
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=DIMENSIONS)


def winograd(x: Pictures, kernel: Kernel) -> Result:
    """By sixteen matrix products; height and width must be even.

    >>> x, w = jnp.arange(16.0).reshape(1, 4, 4, 1), jnp.arange(9.0).reshape(3, 3, 1, 1)
    >>> bool(jnp.allclose(winograd(x, w), direct(x, w)))
    True
    """
    batch, height, width, inputs = x.shape
    outputs = kernel.shape[-1]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows = _input([padded[:, i : i + height : 2] for i in range(4)])
    tiles = [
        column
        for row in rows
        for column in _input([row[:, :, j : j + width : 2] for j in range(4)])
    ]
    weights = [weight for row in _kernel(list(kernel)) for weight in _kernel(list(row))]
    products = [
        (tile.reshape(-1, inputs) @ weight).reshape(batch, height // 2, width // 2, outputs)
        for tile, weight in zip(tiles, weights, strict=True)
    ]
    columns = [_output(products[4 * i : 4 * i + 4]) for i in range(4)]
    made = [_output([columns[i][j] for i in range(4)]) for j in range(2)]  # [column][row]
    rows_of = [jnp.stack([made[0][i], made[1][i]], axis=3) for i in range(2)]
    return jnp.stack(rows_of, axis=2).reshape(batch, height, width, outputs)


def _input(d: list[Array]) -> list[Array]:
    """B' d."""
    return [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]]


def _kernel(g: list[Array]) -> list[Array]:
    """G g."""
    return [g[0], (g[0] + g[1] + g[2]) / 2, (g[0] - g[1] + g[2]) / 2, g[2]]


def _output(m: list[Array]) -> list[Array]:
    """A' m."""
    return [m[0] + m[1] + m[2], m[1] - m[2] - m[3]]
