"""Networks from the configurations that released models come with."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.core import FrozenDict

from diffusion_jax.errors import UserError, nearest, shown
from diffusion_jax.hints import fits, named
from diffusion_jax.networks.conditioners.base import Context

ANY = "any"
"""For `fixed`: the setting changes no number here, whatever it is."""

CHANNELS = ("in_channels", "out_channels")
STORED = "dtype"  # of what was saved, which says nothing of the computation here

N = TypeVar("N", bound=nn.Module)


@runtime_checkable
class ReleasedModule(Protocol):
    """A module whose parameters others have released.

    Attributes:
        original: what its class is called in the library whose configurations it has.
    """

    original: ClassVar[str]

    def example(self, configuration: Mapping[str, Any]) -> tuple[Any, ...]:
        """Shapes and dtypes of the inputs of a call, by which those of its parameters are known.

        Args:
            configuration: the original's, for what the module's fields do not say.
        """
        ...


def rows(*shape: Any) -> jax.ShapeDtypeStruct:
    """The form of an input: one row of such a shape, float32.

    Raises:
        UserError: a size that is no positive number.
    """
    _check_sizes(1, *shape)
    return jax.ShapeDtypeStruct((1, *shape), jnp.float32)


def _check_sizes(least: int, *sizes: Any) -> None:
    for size in sizes:
        if not fits(size, int) or size < least:
            raise UserError(
                "A configuration tells sizes and channels by whole numbers from "
                f"{least} on, not by {shown(size)}."
            )


def told(tokens: Any = 0, pooled: Any = 0, numbers: Any = 0, length: int = 2) -> Context:
    """The form of a context.

    Args:
        tokens: features of a token.
        pooled: features of the pooled vector.
        numbers: how many numbers; 0 for none.
        length: tokens.

    Raises:
        UserError: a width that is no number.
    """
    _check_sizes(0, tokens, pooled, numbers)

    def made() -> Context:
        return Context(
            jnp.zeros((1, length, tokens), jnp.float32),
            jnp.ones((1, length), bool),
            jnp.zeros((1, pooled), jnp.float32),
            numbers=jnp.zeros((1, numbers), jnp.float32) if numbers else None,
        )

    form: Context = jax.eval_shape(made)
    return form


def from_configuration(network: type[N], configuration: Mapping[str, Any], **settings: Any) -> N:
    """A network with the settings of the original's configuration.

    A network's fields have the original's names. What the original can be told besides stands in
    the attribute `fixed` of its class: name -> the value that it must have, or `ANY`. Channels of
    the input are those of what a network is given, and channels of the output so many times more.

    Args:
        network: the class.
        configuration: as in the original's config.json; names that begin with "_" say nothing.
        settings: further fields, such as the dtype.

    Raises:
        UserError: a setting that is not known here, or that has a value which is not.

    >>> from diffusion_jax.networks.autoencoders import AutoencoderKL
    >>> told = {"_class_name": "AutoencoderKL", "block_out_channels": [32, 64], "in_channels": 3}
    >>> from_configuration(AutoencoderKL, told | {"down_block_types": ["DownEncoderBlock2D"] * 2,
    ...     "up_block_types": ["UpDecoderBlock2D"] * 2}).block_out_channels
    (32, 64)
    """
    every = {each.name: each.type for each in dataclasses.fields(network)}
    fields = {name: hint for name, hint in every.items() if name not in ("parent", "name")}
    fixed = getattr(network, "fixed", {})
    unread = getattr(network, "unread", ())
    found = _outputs(configuration, fields)
    for name, said in configuration.items():
        told_elsewhere = name in unread or name == STORED
        if name.startswith("_") or told_elsewhere or (name in CHANNELS and name not in fields):
            continue
        value = _hashable(said)
        if name in fields:
            hint = fields[name]
            if not fits(value, hint):
                raise UserError(
                    f"{network.__name__}: {name} must be {named(hint)}, not {shown(said)}."
                )
            found[name] = value
        elif name not in fixed:
            raise UserError(
                f"{network.__name__} has no setting {name!r}, which the configuration gives."
                f"{nearest(name, fields)}"
            )
        elif fixed[name] is not ANY and value != fixed[name]:
            raise UserError(
                f"{network.__name__} cannot be had with {name}={shown(said)}: it is always "
                f"{fixed[name]!r} here."
            )
    return network(**(found | settings))


def _outputs(configuration: Mapping[str, Any], fields: Collection[str]) -> dict[str, Any]:
    """Channels of the result for each of x, where the original tells both."""
    given, made = (configuration.get(name) for name in CHANNELS)
    if "outputs" not in fields or "out_channels" in fields or not given or not made:
        return {}
    if made % given:
        raise UserError(f"out_channels={made} must be a multiple of in_channels={given}.")
    return {"outputs": made // given}


def _hashable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return FrozenDict({key: _hashable(each) for key, each in value.items()})
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value
