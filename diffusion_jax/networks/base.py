"""The family of score networks, which grows by a file in this folder.

A member is a flax module that is called as `network(x, c_noise, context, deterministic)` with a
`conditioners.Context` or None; docs/guide/networks.md states all that it must be.
"""

from typing import Any

import flax.linen as nn

from diffusion_jax.errors import UserError
from diffusion_jax.registry import Registry, parse, settings_of

networks: Registry[nn.Module] = Registry("network")


def check_field(family: Registry[Any], spec: str, field: str, asked: str) -> None:
    """Refuses a member without a field that is asked for, which it would else be made without.

    Args:
        family: `networks` or `conditioners`.
        spec: of the member.
        field: that is needed.
        asked: what asks for it, for the message.

    Raises:
        UserError: the member has no such field.
    """
    name = parse(spec, family.family).name
    if field not in settings_of(family[name]):
        raise UserError(
            f"{family.family} {name!r} has no field {field!r}, which {asked} needs: give it one, "
            "or ask for something else."
        )
