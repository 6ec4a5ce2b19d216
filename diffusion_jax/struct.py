"""Frozen dataclasses that JAX can look into."""

import dataclasses
from typing import Any, TypeVar, dataclass_transform

import jax

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
    `jax.vmap`, or be differentiated.

    >>> @pytree
    ... class Scale:
    ...     factor: float = 2.0
    >>> jax.tree.leaves(Scale())
    [2.0]
    """
    return jax.tree_util.register_dataclass(dataclasses.dataclass(frozen=True)(cls))
