"""What checks the annotations of the library while tests run."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

# As for mypy, an int will do where a float is asked for.
_check = beartype(conf=BeartypeConf(is_pep484_tower=True))


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """As beartype, for jaxtyping, which has arguments checked before a call and again after it.

    After it the names of axes have their sizes, so that the result is all that is left to check.
    """
    result = function.__annotations__.get("return", Any)
    if result is not Any:
        function.__annotations__ = {"return": result}
    return _check(function)


@contextlib.contextmanager
def unchecked() -> Iterator[None]:
    """Values of any type reach the library, as they do outside of tests."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
