"""Derivatives forward through a network, which fused attention does not have.

Kernels that bring their own backward pass (`jax.custom_vjp`, as cuDNN's attention does) have no
forward one. JAX notices when it compiles, long after the call; here it is known beforehand.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

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


def asking() -> str:
    """What asks for forward derivatives; nothing is ''."""
    return _asking.get()
