"""Frozen dataclasses that JAX can look into."""

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any, TypeVar, dataclass_transform, get_args, get_type_hints

import jax
from jax.tree_util import GetAttrKey

from diffusion_jax.errors import UserError, shown

T = TypeVar("T")

# A setting that is usually written as a number, and may be traced or mapped over.
Scalar = float | int | jax.Array


def static(default: Any = dataclasses.MISSING) -> Any:
    """Declares a field that JAX treats as part of the type, not as data (sizes, flags, names)."""
    return dataclasses.field(default=default, metadata={"static": True})


@dataclass_transform(frozen_default=True, field_specifiers=(static, dataclasses.field))
def pytree(cls: type[T]) -> type[T]:
    """Makes a class a frozen dataclass and a pytree whose leaves are its non-static fields.

    Settings that are leaves can be traced: a schedule's `shift` may be an array of shifts under
    `jax.vmap`, or be differentiated. A `__post_init__` checks what people write and runs only
    then: JAX rebuilds the object around whatever its leaves become (tracers, axis numbers)
    without it. Text, None and the like in the place of a number are refused for all classes alike.

    >>> @pytree
    ... class Scale:
    ...     factor: float = 2.0
    >>> jax.tree.leaves(Scale())
    [2.0]
    """
    own = getattr(cls, "__post_init__", None)

    def __post_init__(self: Any) -> None:
        _check_numbers(self)
        if own is not None:
            own(self)

    cls.__post_init__ = __post_init__  # type: ignore[attr-defined]
    frozen = dataclasses.dataclass(frozen=True)(cls)
    fields = dataclasses.fields(frozen)  # type: ignore[arg-type]
    leaves = [field.name for field in fields if not field.metadata.get("static")]
    fixed = [field.name for field in fields if field.metadata.get("static")]

    def flatten(value: T) -> tuple[list[Any], tuple[Any, ...]]:
        return [getattr(value, name) for name in leaves], tuple(getattr(value, n) for n in fixed)

    def flatten_with_keys(value: T) -> tuple[list[Any], tuple[Any, ...]]:
        children, aside = flatten(value)
        return list(zip(map(GetAttrKey, leaves), children, strict=True)), aside

    def unflatten(aside: tuple[Any, ...], children: Iterable[Any]) -> T:
        value = object.__new__(frozen)
        for name, child in zip([*leaves, *fixed], [*children, *aside], strict=True):
            object.__setattr__(value, name, child)
        return value

    jax.tree_util.register_pytree_with_keys(frozen, flatten_with_keys, unflatten, flatten)
    return frozen


def _check_numbers(value: Any) -> None:
    """Raises UserError if a setting that is a number by its annotation is none, and no array."""
    cls: Any = type(value)
    for name in _numbers(cls):
        given = getattr(value, name)
        if given is None or isinstance(given, (str, bytes, list, dict, set, type)):
            kind = type(value).__name__
            raise UserError(f"{kind}: {name} must be a number, not {shown(given)}.")


@functools.cache
def _numbers(cls: Any) -> tuple[str, ...]:
    """The fields of a class whose annotation allows numbers, and neither text nor None."""
    try:
        hints = get_type_hints(cls)
    except NameError:  # a type that is imported for checkers alone
        return ()
    found = []
    for field in dataclasses.fields(cls):
        parts = get_args(hints[field.name]) or (hints[field.name],)
        if any(isinstance(part, list) for part in parts):  # the arguments of a function
            continue
        kinds = set(parts)
        if kinds & {int, float} and kinds <= {int, float, complex, jax.Array}:
            found.append(field.name)
    return tuple(found)
