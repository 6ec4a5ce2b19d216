"""Low-rank terms beside the kernels of dense layers and convolutions."""

import math
import re
import zlib
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax.traverse_util import unflatten_dict
from jaxtyping import Array, Float, Key

from diffusion_jax.errors import UserError
from diffusion_jax.networks import checks
from diffusion_jax.networks.adapters.base import (
    Params,
    Path,
    adapters,
    as_patterns,
    check_matched,
    flat,
    name_of,
)
from diffusion_jax.struct import Scalar, pytree, static

KERNEL, DOWN, UP = "kernel", "down", "up"
# The maps of queries, keys, values and results, as released networks call them.
ATTENTION = (
    *("to_q", "to_k", "to_v", r"to_out\.0", "add_q_proj", "add_k_proj", "add_v_proj"),
    *("to_add_out", r"attn\.qkv", r"attn\.proj"),
)


@adapters.register("lora")
@pytree
class LoRA:
    """W + (alpha/rank) B A for each chosen kernel W, which stays as it is; A and B are trained.

    A starts uniform within ±1/sqrt(fan in), and B at zero, so that the network starts as it was. Of
    a convolution, A has the sides of its kernel and B none. A is called "down" and B "up".

    Source: Hu et al. 2021 (LoRA), section 4.1; huggingface/peft, tuners/lora, for the start of A
    and for convolutions.

    Attributes:
        rank: of B A.
        alpha: as above; None is the rank, so that the factor is 1.
        targets: ends of the names of modules, regular expressions such as "to_q" or
            "attn2.to_[kv]"; each must fit one. None is all maps of attentions.

    Raises:
        UserError: a rank below 1, or a target that fits no module.

    >>> params = {"attn": {"to_q": {"kernel": jnp.ones((3, 5))}}}
    >>> adapter = LoRA(rank=2)
    >>> frozen, trained = adapter.split(params, jax.random.key(0))
    >>> jax.tree.map(jnp.shape, trained["attn"]["to_q"])
    {'down': (3, 2), 'up': (2, 5)}
    >>> bool((adapter.merged(frozen, trained)["attn"]["to_q"]["kernel"] == 1).all())
    True
    """

    formula: ClassVar[str] = "W + (α/r) B A, r the rank, B = 0 at the start"

    rank: int = static(default=4)
    alpha: Scalar | None = None
    targets: str | tuple[str, ...] | None = static(default=None)

    def __post_init__(self) -> None:
        checks.positive_integers("adapter 'lora'", rank=self.rank)
        if self.targets is not None:
            object.__setattr__(self, "targets", as_patterns(self.targets, "A target of a lora"))
        if self.alpha is not None and isinstance(self.alpha, int | float) and self.alpha <= 0:
            raise UserError(f"adapter 'lora': alpha must be more than 0, not {self.alpha}.")

    @property
    def scale(self) -> Scalar:
        """alpha/rank."""
        return 1.0 if self.alpha is None else self.alpha / self.rank

    def split(self, params: Params, key: Key[Array, ""]) -> tuple[Params, Params]:
        trained = {}
        for path, kernel in self._chosen(params).items():
            *sides, inputs, outputs = kernel.shape
            bound = 1 / math.sqrt(math.prod(sides) * inputs)
            own = jax.random.fold_in(key, zlib.crc32(name_of(path).encode()))
            shape = (*sides, inputs, self.rank)
            trained[*path, DOWN] = jax.random.uniform(own, shape, jnp.float32, -bound, bound)
            trained[*path, UP] = jnp.zeros((self.rank, outputs), jnp.float32)
        return params, unflatten_dict(trained)

    def merged(self, frozen: Params, trained: Params) -> Params:
        terms = flat(trained)
        found = dict(flat(frozen))
        for *module, leaf in terms:
            if leaf == DOWN:
                kernel = (*module, KERNEL)
                term = low_rank(terms[*module, DOWN], terms[*module, UP], self.scale)
                found[kernel] = found[kernel] + term.astype(found[kernel].dtype)
        whole: Params = unflatten_dict(found)
        return whole

    def _chosen(self, params: Params) -> dict[Path, Any]:
        """Module -> kernel, of the targets."""
        kernels = {p[:-1]: leaf for p, leaf in flat(params).items() if p[-1] == KERNEL}
        wanted = ATTENTION if self.targets is None else self.targets
        fitting: dict[str, list[Path]] = {
            each: [path for path in kernels if re.search(rf"(?:^|\.)(?:{each})$", name_of(path))]
            for each in wanted
        }
        names = [name_of(path) for path in kernels]
        if self.targets is not None:
            check_matched({k: bool(v) for k, v in fitting.items()}, names, "module with a kernel")
        chosen = {path: kernels[path] for paths in fitting.values() for path in paths}
        if not chosen:
            raise UserError(
                "The network has no attention whose maps a lora would be of: name its targets, "
                f"modules such as {names[0]!r}."
            )
        return chosen


def low_rank(
    down: Float[Array, "*sides inputs rank"], up: Float[Array, "rank outputs"], scale: Scalar
) -> Float[Array, "*sides inputs outputs"]:
    """scale · B A, in the layout of a kernel.

    >>> low_rank(jnp.ones((2, 3)), jnp.ones((3, 1)), 0.5).tolist()
    [[1.5], [1.5]]
    """
    return scale * jnp.matmul(down, up, precision=jax.lax.Precision.HIGHEST)
