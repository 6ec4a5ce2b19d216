"""The class of a picture, one of a few."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError, nearest
from diffusion_jax.networks import checks
from diffusion_jax.networks.conditioners.base import (
    Condition,
    Conditioner,
    Context,
    Corpus,
    Example,
    Rows,
    conditioners,
    state_of,
)
from diffusion_jax.networks.initializers import unit_normal
from diffusion_jax.words import normal

KEY = "label"
NO_LABEL = -1
SHOWN = 20  # class names in a message
FRAME = re.compile(r"(?:an? (?:picture|photo|image) of )?(?:an? |the )?(.*?)[.!]?")


@conditioners.register("label")
class ClassLabel(Conditioner):
    """A class as one learned vector of standard deviation 1, with one more for "no class".

    Attributes:
        num_classes: number of classes; as many as there are names, once it has learnt them.
        width: features of the vector.
        dtype: dtype of the computation.
        class_names: by which users ask; learnt from the data set.

    >>> import jax
    >>> labels, conditioner = {"label": jnp.array([2, -1])}, ClassLabel(num_classes=3, width=8)
    >>> context, _ = jax.eval_shape(conditioner.init_with_output, jax.random.key(0), labels)
    >>> context.pooled.shape
    (2, 8)
    """

    num_classes: int = 0
    width: int = 64
    dtype: str = "float32"
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.positive_integers("label", width=self.width)
        checks.size("label", 1, self.num_classes * self.width)

    @property
    def answers(self) -> tuple[str, ...]:
        return ("prompt", "class name")

    @property
    def keys(self) -> tuple[str, ...]:
        return (KEY,)

    @nn.compact
    def __call__(self, condition: Condition, x: Float[Array, "batch ..."] | None = None) -> Context:
        """Encodes condition["label"], (batch,) int in [0, num_classes), or -1 for no class."""
        checks.positive_integers("label", num_classes=self.num_classes)
        label = condition[KEY]
        index = jnp.where(label == NO_LABEL, self.num_classes, label)
        classes = nn.Embed(
            self.num_classes + 1, self.width, embedding_init=unit_normal, name="classes"
        )
        pooled = classes(index).astype(self.dtype)
        return Context(pooled[:, None], jnp.ones((len(label), 1), bool), pooled)

    @nn.nowrap
    def null(self, condition: Condition) -> Condition:
        """No class."""
        return condition | {KEY: jnp.full_like(condition[KEY], NO_LABEL)}

    @nn.nowrap
    def fit(self, data: Corpus) -> "ClassLabel":
        """Learns the names of the classes."""
        if not data.class_names:
            raise UserError(f"conditioner 'label': data set {data.name!r} has no classes.")
        return self.restored({KEY: data.class_names})

    @nn.nowrap
    def state(self) -> dict[str, Any]:
        """The names of the classes."""
        return {KEY: list(self.class_names)}

    @nn.nowrap
    def restored(self, states: Mapping[str, Any]) -> "ClassLabel":
        """With the names of the classes."""
        names = tuple(map(str, state_of(states, KEY)))
        return self.clone(num_classes=len(names), class_names=names)

    @nn.nowrap
    def encode(self, examples: Sequence[Example]) -> Rows:
        """The labels of examples."""
        return {KEY: np.array([each.get("label", NO_LABEL) for each in examples], np.int32)}

    @nn.nowrap
    def ask(self, prompts: Sequence[str], class_name: str = "") -> Rows:
        """The class that each prompt names (see `class_of`), or `class_name`."""
        found = {prompt: self._asked(class_name or prompt) for prompt in set(prompts)}
        return {KEY: np.array([found[prompt] for prompt in prompts], np.int32)}

    @nn.nowrap
    def _asked(self, prompt: str) -> int:
        if not prompt:
            return NO_LABEL
        found = class_of(prompt, self.class_names)
        if found is None:
            names = self.class_names
            listed = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
            raise UserError(
                f"{prompt!r} is not the name of a class, and an arm with conditioner='label()' "
                f"draws classes.{nearest(prompt, names)} Known: {listed}."
            )
        return found

    @nn.nowrap
    def texts(self, data: Corpus) -> dict[str, Iterable[str]]:
        """The names of the classes."""
        return {"class names": data.class_names}


def class_of(prompt: str, class_names: Sequence[str]) -> int | None:
    """The class that a prompt names: its name and nothing else, but for an article before it.

    "a picture of" (a photo, an image) may come first, and case does not matter. What has other
    words names none, since they may change what is meant: "not a cat", "a cat and a dog".

    >>> names = ("shirt", "t-shirt", "ankle boot")
    >>> class_of("A picture of a t-shirt", names), class_of("Ankle boot", names)
    (1, 2)
    >>> class_of("no shirt", names) is None
    True
    """
    known = {_plain(name): index for index, name in enumerate(class_names)}
    whole = _plain(prompt)
    framed = FRAME.fullmatch(whole)
    return known.get(whole, known.get(framed[1]) if framed else None)


def _plain(text: str) -> str:
    return " ".join(normal(text).split())
