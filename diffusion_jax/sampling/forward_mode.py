"""Derivatives forward through a network, which fused attention does not have.

Kernels that bring their own backward pass (`jax.custom_vjp`, as cuDNN's attention does) have no
forward one. JAX notices when it compiles, long after the call; here it is known beforehand.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from diffusion_jax.errors import UserError

_asking: ContextVar[str] = ContextVar("what asks for forward derivatives", default="")


@contextmanager
def forward_mode(what: str) -> Iterator[None]:
    """While entered, networks that are called are differentiated forward.

    Args:
        what: asks for the derivative, to name it.
    """
    token = _asking.set(what)
    try:
        yield
    finally:
        _asking.reset(token)


def check_no_forward_mode() -> None:
    """Raises UserError where forward derivatives are asked for; for parts that have none."""
    if what := _asking.get():
        raise UserError(
            f"{what} differentiates the network forward, which fused attention does not allow: "
            "use attention_implementation='xla'; the parameters are the same."
        )
