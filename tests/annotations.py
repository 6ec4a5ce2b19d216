"""What checks the annotations of the library while tests run."""

from collections.abc import Callable
from typing import Any

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
