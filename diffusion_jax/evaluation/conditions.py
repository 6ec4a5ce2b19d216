"""Captions as networks read them."""

import re
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from diffusion_jax.networks.score_network import Condition
from diffusion_jax.networks.text import NO_LABEL
from diffusion_jax.training.runs import DataFacts


def class_of(caption: str, class_names: Sequence[str]) -> int:
    """The class that a caption names, or "no label" if it names none; of several, the longest.

    >>> class_of("a picture of a t-shirt", ("shirt", "t-shirt"))
    1
    """
    named = [
        (len(name), index)
        for index, name in enumerate(class_names)
        if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", caption, re.IGNORECASE)
    ]
    return max(named)[1] if named else NO_LABEL


def encode(facts: DataFacts, captions: Sequence[str]) -> Condition:
    """The condition that captions stand for: word ids, and the label of the class they name.

    Args:
        facts: of the data set that the network was trained on.
        captions: n of them; "" asks for nothing in particular.

    Returns:
        {"tokens": (n, length) int32, "label": (n,) int32}.

    Raises:
        UserError: a word that the network does not know.
    """
    return {
        "tokens": jnp.asarray(np.stack([facts.tokenizer.encode(c) for c in captions])),
        "label": jnp.array([class_of(c, facts.class_names) for c in captions], jnp.int32),
    }
