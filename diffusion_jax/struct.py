"""Frozen dataclasses that JAX can look into."""

import dataclasses
from collections.abc import Iterable
from typing import Any, TypeVar, dataclass_transform

import jax
from jax.tree_util import GetAttrKey

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
    without it.

    >>> @pytree
    ... class Scale:
    ...     factor: float = 2.0
    >>> jax.tree.leaves(Scale())
    [2.0]
    """
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
