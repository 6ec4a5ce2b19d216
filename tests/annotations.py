"""What checks the annotations of the library while tests run."""

import ast
import contextlib
import functools
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
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
    unknown = _known_to_mypy_alone(function.__module__)
    for name, hint in function.__annotations__.items():
        if isinstance(hint, str) and not unknown.isdisjoint(re.findall(r"\w+", hint)):
            function.__annotations__[name] = Any
    return _check(function)


@functools.cache
def _known_to_mypy_alone(module: str) -> set[str]:
    """What a module imports under `if TYPE_CHECKING`, and so does not have when it runs."""
    guards = [
        node
        for node in ast.parse(Path(str(sys.modules[module].__file__)).read_text()).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    imports = [
        node
        for guard in guards
        for node in ast.walk(guard)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    return {alias.asname or alias.name for node in imports for alias in node.names}


@contextlib.contextmanager
def unchecked() -> Iterator[None]:
    """Values of any type reach the library, as they do outside of tests."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
