"""What conditioners that read an array of the data set share."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from diffusion_jax.errors import UserError
from diffusion_jax.networks import checks
from diffusion_jax.networks.conditioners.base import (
    Condition,
    Conditioner,
    Corpus,
    Example,
    Rows,
    state_of,
)


class ArrayConditioner(Conditioner):
    """Reads one array of each example, of one shape; zeros say nothing.

    Attributes:
        key: of the array, in examples and in the condition.
        width: features of a token for the network.
        dtype: dtype of the computation.
        shape: of the array; learnt from the data set.
    """

    registered: ClassVar[str]

    key: str
    width: int = 64
    dtype: str = "float32"
    shape: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.positive_integers(self.registered, width=self.width)

    @property
    def mirrors(self) -> bool:
        return False

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.key,)

    @nn.nowrap
    def null(self, condition: Condition) -> Condition:
        """Zeros."""
        return condition | {self.key: jnp.zeros_like(condition[self.key])}

    @nn.nowrap
    def fit(self, data: Corpus) -> "ArrayConditioner":
        """Learns the shape of the array from the first example."""
        return self.restored({self.key: list(self.array(data.train[0]).shape)})

    @nn.nowrap
    def state(self) -> dict[str, Any]:
        """The shape of the array."""
        return {self.key: list(self.shape)}

    @nn.nowrap
    def restored(self, states: Mapping[str, Any]) -> "ArrayConditioner":
        """With the shape that was saved."""
        return self.clone(shape=tuple(map(int, state_of(states, self.key))))

    @nn.nowrap
    def encode(self, examples: Sequence[Example]) -> Rows:
        """The arrays of examples, (batch, *shape) float32.

        Raises:
            UserError: an example has none, or one of another shape.
        """
        return {self.key: np.stack([self.array(example) for example in examples])}

    @nn.nowrap
    def array(self, example: Example) -> np.ndarray:
        """The array of an example, float32.

        Raises:
            UserError: it has none that this conditioner can read.
        """
        raise NotImplementedError

    @nn.nowrap
    def ask(self, prompts: Sequence[str], class_name: str = "") -> Rows:
        """Zeros: whoever has such arrays hands over a condition of them.

        Raises:
            UserError: a prompt has words, which it cannot read.
        """
        for prompt in prompts:
            if prompt:
                raise UserError(
                    f"{prompt!r} says nothing to the conditioner {self.registered!r}, which reads "
                    f"{self.key!r} of examples: leave out the prompt, or sample from Python with a "
                    "condition."
                )
        return {self.key: np.zeros((len(prompts), *self.shape), np.float32)}
