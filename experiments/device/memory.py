"""What programs need and devices have, and finding a batch that fits."""

from collections.abc import Callable

import jax

from diffusion_jax.training.memory import program_bytes
from experiments.device.section import Figures


class BatchTooLarge(Exception):
    """The compiler counts more bytes than the device has."""


def fitting(batch: int, work: Callable[[int], Figures]) -> Figures:
    """Does work with a batch, or half of it, or a quarter, …: the largest that fits into memory.

    Raises:
        Exception: whatever the work raises that is no lack of memory, or for a batch of one.
    """
    overrun = False
    while True:
        try:
            found = work(batch)
            # The highest that the device saw is then of what did not fit.
            return found | {"bytes_peak": None} if overrun else found
        except Exception as error:
            if batch == 1 or not is_out_of_memory(error):
                raise
            overrun |= not isinstance(error, BatchTooLarge)
        # Out of the handler, where the error no longer holds on to what was allocated.
        batch //= 2


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of JAX or PyTorch means that memory was short."""
    words = f"{type(error).__name__} {error}".lower()
    named = any(each in words for each in ("resource_exhausted", "outofmemory", "out of memory"))
    return isinstance(error, (BatchTooLarge, MemoryError)) or named


def check_fits(compiled: jax.stages.Compiled) -> int | None:
    """Bytes that a compiled program takes, as the compiler counts them, if it does.

    Raises:
        BatchTooLarge: the device has fewer.
    """
    needed = program_bytes(compiled)
    if not needed:
        return None
    limit = statistic("bytes_limit")
    if limit is not None and needed > limit:
        raise BatchTooLarge(f"out of memory: {needed / 1e9:.1f} of {limit / 1e9:.1f} GB")
    return needed


def statistic(name: str) -> int | None:
    """What the device tells of its memory, if it does: "bytes_limit", "peak_bytes_in_use", …"""
    return (jax.local_devices()[0].memory_stats() or {}).get(name)


def operations(compiled: jax.stages.Compiled) -> float | None:
    """Floating-point operations of a program as the compiler counts them, if it does.

    It does not see into kernels of other libraries, such as fused attention.
    """
    counted = compiled.cost_analysis()
    first = counted[0] if isinstance(counted, list) and counted else counted
    return float(first["flops"]) if first and "flops" in first else None
