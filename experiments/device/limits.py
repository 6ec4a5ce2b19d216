"""What the device does at most, as measured: matrix products, and copies of memory."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from experiments.device import memory
from experiments.device.peaks import peak
from experiments.device.section import Figures
from experiments.device.timing import timed

# Sides of the matrices, and bytes copied, on a device and in the small form.
SIDE, COPIED = 8192, 2**30
SMALL_SIDE, SMALL_COPIED = 256, 2**20
# name -> dtype, and how JAX computes the product
PRODUCTS = {
    "bfloat16": ("bfloat16", "default"),
    "tf32": ("float32", "tensorfloat32"),
    "float32": ("float32", "highest"),
}


def measure(small: bool) -> Figures:
    """FLOP/s of square products, bytes/s of a copy (read and written), and the maker's limits."""
    found: Figures = {"side": SMALL_SIDE if small else SIDE, "products": {}}
    for name, (dtype, precision) in PRODUCTS.items():
        found["products"][name] = _product(found["side"], dtype, precision, small)
    found["copy"] = memory.fitting(
        SMALL_COPIED if small else COPIED, lambda size: _copy(size, small)
    )
    own = peak(jax.local_devices()[0].device_kind)
    found["maker"] = own and {
        "bfloat16": own.bfloat16,
        "float32": own.float32,
        "bandwidth": own.bandwidth,
        "source": own.source,
    }
    return found


def _product(side: int, dtype: str, precision: str, small: bool) -> Figures:
    # Zeros are multiplied faster than numbers are.
    a, b = (jax.random.normal(jax.random.key(i), (side, side), dtype) for i in range(2))

    @jax.jit
    def multiply(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.matmul(a, b, precision=precision)

    timing = timed(_repeated(lambda: multiply(a, b)), small)
    return timing.figures() | {"flops_per_second": 2.0 * side**3 / timing.median}


def _copy(size: int, small: bool) -> Figures:
    x = jnp.ones(size // 4, jnp.float32)
    add = jax.jit(lambda x: x + 1)  # a plain copy might be none
    timing = timed(_repeated(lambda: add(x)), small)
    return timing.figures() | {"bytes": size, "bytes_per_second": 2 * size / timing.median}


def _repeated(work: Callable[[], Any]) -> Callable[[int], None]:
    def run(count: int) -> None:
        for _ in range(count):
            result = work()
        jax.block_until_ready(result)

    return run
