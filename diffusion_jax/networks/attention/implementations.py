"""What may compute an attention, and which of it a program and a device allow."""

import warnings

import jax
import jax.numpy as jnp

from diffusion_jax.errors import UserError
from diffusion_jax.sampling.forward_mode import asking

FUSED = {"gpu": "cudnn", "tpu": "pallas"}  # of each device
IMPLEMENTATIONS = ("xla", *FUSED.values(), "auto")
WIDEST = 128  # features of a head that the fused ones take
MAKERS = {"gpu": "NVIDIA GPUs", "tpu": "TPUs"}


def chosen(implementation: str, dtype: jnp.dtype, head: int) -> str:
    """What computes an attention: "xla", "cudnn" or "pallas".

    Fused attention has no forward derivatives, so a program that asks for them is given "xla", with
    a warning.

    Args:
        implementation: a member of IMPLEMENTATIONS. "auto" is the fused one of the device where it
            takes such numbers: bfloat16, and heads of `fits` features.
        dtype: of the query.
        head: features of a head.

    Raises:
        UserError: a fused one is asked for that is another device's.

    >>> chosen("auto", jnp.float32.dtype, 64)
    'xla'
    """
    fused = implementation
    if implementation == "auto":
        fused = FUSED.get(jax.default_backend(), "xla")
        if dtype != jnp.bfloat16 or not fits(head):
            fused = "xla"
    if fused == "xla":
        return fused
    check_device(fused)
    if what := asking():
        warnings.warn(
            f"Attention is computed by 'xla', not by {fused!r}: {what} differentiates the network "
            "forward, which fused attention does not allow.",
            stacklevel=3,
        )
        return "xla"
    return fused


def fits(head: int) -> bool:
    """Whether fused attention takes heads of that many features: a multiple of 8, 128 at most.

    >>> fits(64), fits(20), fits(256)
    (True, False, False)
    """
    return head % 8 == 0 and head <= WIDEST


def check_device(fused: str) -> None:
    """Raises UserError unless programs run on the device of that implementation."""
    (device,) = (device for device, name in FUSED.items() if name == fused)
    backend = jax.default_backend()
    if backend != device:
        raise UserError(
            f"attention_implementation={fused!r} runs on {MAKERS[device]} only, and this is a "
            f"{backend}: use attention_implementation='xla' or 'auto'; the parameters are the same."
        )
