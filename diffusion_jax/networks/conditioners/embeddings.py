"""What a released text encoder made of captions, handed to the network as it is."""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError
from diffusion_jax.networks.conditioners.base import (
    Condition,
    Conditioner,
    Context,
    Corpus,
    Example,
    Rows,
    conditioners,
)

TOKENS, MASK, POOLED, NUMBERS = NAMES = ("tokens", "mask", "pooled", "numbers")
AXES = {TOKENS: 2, MASK: 1, POOLED: 1, NUMBERS: 1}


@conditioners.register("embeddings")
class Embeddings(Conditioner):
    """Arrays of the data set as the context of a network, which has no parameters besides.

    Each example has some of `tokens`, (length, width), `mask`, (length,), `pooled`, (features,),
    and `numbers`, (count,): what `ReleasedModel.ask` gives for a prompt, or another encoder. A
    condition that says nothing has tokens and a pooled vector of zeros. A model that takes the
    empty prompt instead, as Stable Diffusion 1 does, is shown it by captions that are empty.

    Attributes:
        shapes: of the arrays, by name; learnt from the data set.
        dtype: dtype of what the network is given.

    >>> condition = {"tokens": jnp.ones((2, 5, 16)), "pooled": jnp.ones((2, 4))}
    >>> conditioner = Embeddings((("pooled", (4,)), ("tokens", (5, 16))))
    >>> context = conditioner.apply({}, condition)
    >>> context.tokens.shape, context.mask.shape, context.pooled.shape
    ((2, 5, 16), (2, 5), (2, 4))
    """

    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    dtype: str = "float32"

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.shapes)

    @property
    def mirrors(self) -> bool:
        return False

    @nn.compact
    def __call__(self, condition: Condition, x: Float[Array, "batch ..."] | None = None) -> Context:
        """Takes the arrays of the condition as they are."""
        found = {name: jnp.asarray(condition[name]) for name in self.keys}
        rows = len(next(iter(found.values())))
        pooled = found.get(POOLED, jnp.zeros((rows, 0))).astype(self.dtype)
        tokens = found.get(TOKENS, pooled[:, None]).astype(self.dtype)
        mask = found.get(MASK, jnp.ones(tokens.shape[:2], bool)) != 0
        return Context(tokens, mask, pooled, numbers=found.get(NUMBERS))

    @nn.nowrap
    def null(self, condition: Condition) -> Condition:
        """Tokens and a pooled vector of zeros; numbers, such as sizes, stay."""
        silent = [name for name in self.keys if name in (TOKENS, POOLED)]
        return condition | {name: jnp.zeros_like(condition[name]) for name in silent}

    @nn.nowrap
    def fit(self, data: Corpus) -> "Embeddings":
        """Learns which arrays there are, and their shapes, from the first example.

        Raises:
            UserError: there is none.
        """
        found = {
            name: list(np.shape(data.train[0][name])) for name in NAMES if name in data.train[0]
        }
        if not {TOKENS, POOLED} & found.keys():
            raise UserError(
                "conditioner 'embeddings' reads 'tokens', (length, width), or 'pooled', "
                "(features,), of examples, which this data set does not have."
            )
        return self.restored(found)

    @nn.nowrap
    def state(self) -> dict[str, Any]:
        """The shapes of the arrays."""
        return {name: list(shape) for name, shape in self.shapes}

    @nn.nowrap
    def restored(self, states: Mapping[str, Any]) -> "Embeddings":
        """With the shapes that were saved.

        Raises:
            UserError: there is no array, or one of other axes.
        """
        found = {n: tuple(map(int, states[n])) for n in NAMES if isinstance(states.get(n), list)}
        for name, shape in found.items():
            if len(shape) != AXES[name]:
                raise UserError(
                    f"conditioner 'embeddings': an example's {name!r} has {len(shape)} axes, not "
                    f"{AXES[name]}."
                )
        if not {TOKENS, POOLED} & found.keys():
            raise UserError("conditioner 'embeddings' was not fit to a data set that has arrays.")
        return self.clone(shapes=tuple(sorted(found.items())))

    @nn.nowrap
    def encode(self, examples: Sequence[Example]) -> Rows:
        """The arrays of examples.

        Raises:
            UserError: an example has none, or one of another shape.
        """
        found: Rows = {}
        for name, shape in self.shapes:
            arrays = [np.asarray(each.get(name, ()), np.float32) for each in examples]
            if wrong := next((each.shape for each in arrays if each.shape != shape), None):
                raise UserError(
                    f"conditioner 'embeddings': an example's {name!r} has shape {wrong}, not "
                    f"{shape}."
                )
            found[name] = np.stack(arrays)
        return found

    @nn.nowrap
    def ask(self, prompts: Sequence[str], class_name: str = "") -> Rows:
        """Zeros, and a mask of ones: whoever has such arrays hands over a condition of them.

        Raises:
            UserError: a prompt has words, which it cannot read.
        """
        for prompt in prompts:
            if prompt:
                raise UserError(
                    f"{prompt!r} says nothing to the conditioner 'embeddings', which reads what an "
                    "encoder made of captions: export the network, and ask the released model."
                )
        fill = {MASK: 1.0}
        return {
            name: np.full((len(prompts), *shape), fill.get(name, 0.0), np.float32)
            for name, shape in self.shapes
        }
