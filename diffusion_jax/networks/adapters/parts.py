"""Training of some parameters alone."""

import re
from typing import ClassVar

import jax.numpy as jnp
from flax.traverse_util import unflatten_dict
from jaxtyping import Array, Key

from diffusion_jax.networks.adapters.base import (
    Params,
    adapters,
    as_patterns,
    check_matched,
    flat,
    name_of,
)
from diffusion_jax.struct import pytree, static


@adapters.register("parts")
@pytree
class Parts:
    """Those parameters are trained whose names have a part that fits; all others stay.

    A parameter's name is its path with dots, such as `mid_block.resnets.0.conv1.kernel`.

    Attributes:
        names: regular expressions that are looked for anywhere in names, one or several, such as
            "^mid_block" or "attn2"; each must be found.

    Raises:
        UserError: one that cannot be read, or that is in no name.

    >>> import jax
    >>> params = {"conv": {"kernel": jnp.ones(3)}, "norm": {"scale": jnp.ones(2)}}
    >>> adapter = Parts("^norm")
    >>> frozen, trained = adapter.split(params, jax.random.key(0))
    >>> list(frozen), list(trained), list(adapter.merged(frozen, trained))
    (['conv'], ['norm'], ['conv', 'norm'])
    """

    formula: ClassVar[str] = "θ where a name fits, all else as it was"

    names: str | tuple[str, ...] = static()

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", as_patterns(self.names, "A name of parts to train"))

    def split(self, params: Params, key: Key[Array, ""]) -> tuple[Params, Params]:
        leaves = flat(params)
        names = {path: name_of(path) for path in leaves}
        found = {p: [k for k, name in names.items() if re.search(p, name)] for p in self.names}
        check_matched({p: bool(v) for p, v in found.items()}, list(names.values()), "parameter")
        chosen = {path for paths in found.values() for path in paths}
        # Of its own, as what is trained is updated in place.
        trained = {path: jnp.array(leaf) for path, leaf in leaves.items() if path in chosen}
        frozen = {path: leaf for path, leaf in leaves.items() if path not in chosen}
        return unflatten_dict(frozen), unflatten_dict(trained)

    def merged(self, frozen: Params, trained: Params) -> Params:
        whole: Params = unflatten_dict(flat(frozen) | flat(trained))
        return whole
