"""Whether a value that a file holds is of the type that a field is annotated with."""

from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

NAMES: Mapping[Any, tuple[str, str]] = {
    bool: ("true or false", "values true or false"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a text", "texts"),
    NoneType: ("null", "nulls"),
}
"""Types → what one value is called, and several"""


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of an annotation of basic types; any is, of another annotation.

    Args:
        value: of a file, with lists as tuples.
        hint: the annotation.

    >>> fits(1, float), fits(True, int), fits((1, 2), tuple[int, ...] | None), fits("1", int)
    (True, False, True, False)
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(fits(value, each) for each in inner)
    if origin is Literal:
        return value in inner
    if origin is tuple and inner[-1] is ...:
        return isinstance(value, tuple) and all(fits(each, inner[0]) for each in value)
    if origin is tuple:
        same = isinstance(value, tuple) and len(value) == len(inner)
        return same and all(map(fits, value, inner))
    if origin is Mapping:
        return isinstance(value, Mapping)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint in NAMES:
        return isinstance(value, hint) and (hint is bool) == isinstance(value, bool)
    return True


def named(hint: Any) -> str:
    """An annotation of basic types in words.

    >>> named(int | tuple[int, ...] | None)
    'a whole number, a list of whole numbers or null'
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        *first, last = map(named, inner)
        return f"{', '.join(first)} or {last}"
    if origin is tuple:
        several = NAMES.get(inner[0], ("", "values"))[1]
        return f"a list of {several}" if inner[-1] is ... else f"a list of {len(inner)} {several}"
    return NAMES[hint][0] if hint in NAMES else "of another kind"
