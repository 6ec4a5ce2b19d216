"""Whether a written value fits a type annotation, and in words what would."""

import types
from collections.abc import Callable
from typing import Any, Union, get_args, get_origin

# Plain types: what a value of each is called, and the test for it.
_PLAIN: dict[Any, tuple[str, Callable[[Any], bool]]] = {
    bool: ("True or False", lambda value: isinstance(value, bool)),
    int: ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    float: (
        "a number",
        lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    ),
    str: ("a word", lambda value: isinstance(value, str)),
    types.NoneType: ("None", lambda value: value is None),
}
_LITERALS = (bool, int, float, complex, str, bytes, tuple, list, dict, set, types.NoneType)


def options(annotation: object) -> tuple[Any, ...]:
    """The alternatives that an annotation allows; where a number is one, arrays go unmentioned.

    >>> options(int | None)
    (<class 'int'>, <class 'NoneType'>)
    """
    union = get_origin(annotation) in (Union, types.UnionType)
    found = get_args(annotation) if union else (annotation,)
    return tuple(o for o in found if o in (float, str, types.NoneType)) if float in found else found


def fits(value: object, annotation: object) -> bool:
    """Whether a literal, or an instance made from a nested spec, is what an annotation asks for.

    Annotations of sorts not known here say nothing, so anything fits them.

    >>> fits((32, 64), tuple[int, ...]), fits("big", float)
    (True, False)
    """
    return any(_fits_option(value, option) for option in options(annotation))


def _fits_option(value: object, option: object) -> bool:
    if option in _PLAIN:
        return _PLAIN[option][1](value)
    if get_origin(option) is tuple:
        return isinstance(value, tuple) and _fit_items(value, get_args(option))
    return not isinstance(option, type) or not isinstance(value, _LITERALS)


def _fit_items(values: tuple[Any, ...], items: tuple[Any, ...]) -> bool:
    if items[1:] == (...,):  # tuple[int, ...] is of any length
        items = items[:1] * len(values)
    return len(values) == len(items) and all(map(fits, values, items))


def nests(annotation: object) -> bool:
    """Whether one of the alternatives is a part of its own, which a nested spec would make.

    >>> nests(float), nests(Callable | None)
    (False, True)
    """
    return any(o not in _PLAIN and get_origin(o) is not tuple for o in options(annotation))


def in_words(annotation: object, family: str) -> str:
    """What fits an annotation, where a class is one of a family of parts.

    >>> in_words(tuple[int, ...] | None, "network")
    'a tuple (a whole number, …) or None'
    """
    return " or ".join(_option_in_words(option, family) for option in options(annotation))


def _option_in_words(option: object, family: str) -> str:
    if option in _PLAIN:
        return _PLAIN[option][0]
    if get_origin(option) is tuple:
        items = ("…" if item is ... else in_words(item, family) for item in get_args(option))
        return f"a tuple ({', '.join(items)})"
    return f"a {family}"
