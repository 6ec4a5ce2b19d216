"""The class of a picture, one of a few: what conditioners that read it share."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from diffusion_jax.errors import UserError, nearest
from diffusion_jax.networks.conditioners.base import (
    Condition,
    Conditioner,
    Corpus,
    Example,
    Rows,
    state_of,
)
from diffusion_jax.words import normal

KEY = "label"
NO_LABEL = -1
SHOWN = 20  # class names in a message
FRAME = re.compile(r"(?:an? (?:picture|photo|image) of )?(?:an? |the )?(.*?)[.!]?")


class LabelConditioner(Conditioner):
    """Reads the class of an example: condition["label"], (batch,) int, -1 for no class.

    Attributes:
        num_classes: number of classes; as many as there are names, once it has learnt them.
        class_names: by which users ask; learnt from the data set.
    """

    registered: ClassVar[str]

    num_classes: int = 0
    class_names: tuple[str, ...] = ()

    @property
    def answers(self) -> tuple[str, ...]:
        return ("prompt", "class name")

    @property
    def keys(self) -> tuple[str, ...]:
        return (KEY,)

    @nn.nowrap
    def null(self, condition: Condition) -> Condition:
        """No class."""
        return condition | {KEY: jnp.full_like(condition[KEY], NO_LABEL)}

    @nn.nowrap
    def fit(self, data: Corpus) -> "LabelConditioner":
        """Learns the names of the classes.

        Raises:
            UserError: the data set has none.
        """
        if not data.class_names:
            raise UserError(
                f"conditioner {self.registered!r}: data set {data.name!r} has no classes."
            )
        return self.restored({KEY: data.class_names})

    @nn.nowrap
    def state(self) -> dict[str, Any]:
        """The names of the classes."""
        return {KEY: list(self.class_names)}

    @nn.nowrap
    def restored(self, states: Mapping[str, Any]) -> "LabelConditioner":
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
                f"{prompt!r} is not the name of a class, and an arm with conditioner="
                f"'{self.registered}()' draws classes.{nearest(prompt, names)} Known: {listed}."
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
