"""Networks from the configurations that released models come with."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

import flax.linen as nn

from diffusion_jax.errors import UserError, nearest

ANY = "any"
"""For `fixed`: the setting changes no number here, whatever it is."""

N = TypeVar("N", bound=nn.Module)


def from_configuration(network: type[N], configuration: Mapping[str, Any], **settings: Any) -> N:
    """A network with the settings of the original's configuration.

    A network's fields have the original's names. What the original can be told besides stands in
    the attribute `fixed` of its class: name -> the value that it must have, or `ANY`.

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
    fields = {each.name for each in dataclasses.fields(network)} - {"parent", "name"}
    fixed = getattr(network, "fixed", {})
    found = {}
    for name, value in configuration.items():
        if name.startswith("_"):
            continue
        value = _hashable(value)
        if name in fields:
            found[name] = value
        elif name not in fixed:
            raise UserError(
                f"{network.__name__} has no setting {name!r}, which the configuration gives."
                f"{nearest(name, fields)}"
            )
        elif fixed[name] is not ANY and value != fixed[name]:
            raise UserError(
                f"{network.__name__} cannot be had with {name}={value!r}: it is always "
                f"{fixed[name]!r} here."
            )
    return network(**(found | settings))


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value
