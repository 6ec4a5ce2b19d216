"""Words and classes as networks are told them: those of test pictures, or as users ask."""

import re
from collections.abc import Collection, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from diffusion_jax.data.example import Example
from diffusion_jax.data.tokenizer import normal
from diffusion_jax.errors import UserError, nearest
from diffusion_jax.networks.score_network import Condition, ScoreNetwork
from diffusion_jax.networks.text import NO_LABEL
from diffusion_jax.runs.run import DataFacts

SHOWN = 20  # class names in a message
FRAME = re.compile(r"(?:an? (?:picture|photo|image) of )?(?:an? |the )?(.*?)[.!]?")


def encode(facts: DataFacts, examples: Sequence[Example]) -> Condition:
    """The condition under which samples are to be like examples.

    Args:
        facts: of the data set that the network was trained on.
        examples: n of the same data set, with their captions and labels.

    Returns:
        {"tokens": (n, length) int32, "label": (n,) int32}.
    """
    return {name: jnp.asarray(rows) for name, rows in facts.encode(examples).items()}


def nothing(facts: DataFacts) -> Condition:
    """The condition, of one row, that asks for nothing in particular."""
    return _condition(_tokens(facts, [""]), [NO_LABEL])


def asked(
    facts: DataFacts, prompts: Sequence[str], networks: Collection[ScoreNetwork], label: str = ""
) -> Condition:
    """The condition that a user's prompts are to networks.

    Those that read captions are told a prompt's words, those that read classes the class that it
    names (see `class_of`), or `label`.

    Args:
        facts: of the data set that the networks were trained on.
        prompts: n of them; "" asks for nothing in particular.
        networks: that shall draw.
        label: name of a class, for all prompts; "" where they name their own.

    Returns:
        {"tokens": (n, length) int32, "label": (n,) int32}; what no network reads says nothing.

    Raises:
        UserError: a word that a network does not know, a prompt for a network of classes that
            names none, or something asked for that none of the networks reads.
    """
    reads = {key for network in networks for key in network.keys}
    if label and "label" not in reads:
        raise UserError(f"No class can be chosen ({label!r}): only arms with text='label()' can.")
    if any(prompts) and not reads & {"tokens", "label"}:
        raise UserError(
            f"Nothing can be asked for ({prompts[0]!r}): these networks were trained with "
            "text='none', so leave out the prompt."
        )
    tokens = _tokens(facts, prompts if "tokens" in reads else [""] * len(prompts))
    if "label" not in reads:
        return _condition(tokens, [NO_LABEL] * len(prompts))
    told = {prompt: _class_asked(label or prompt, facts.class_names) for prompt in set(prompts)}
    return _condition(tokens, [told[prompt] for prompt in prompts])


def class_of(prompt: str, class_names: Sequence[str]) -> int | None:
    """The class that a prompt names: its name and nothing else, but for an article before it.

    "a picture of" (a photo, an image) may come first, and case does not matter. What has other
    words names none, since they may change what is meant: "not a cat", "a cat and a dog".

    >>> names = ("shirt", "t-shirt", "ankle boot")
    >>> class_of("A picture of a t-shirt", names), class_of("Ankle boot", names)
    (1, 2)
    >>> class_of("no shirt", names) is None, class_of("a", ("A", "a"))
    (True, 1)
    """
    if prompt in class_names:  # of "A" and "a", the one that is meant
        return class_names.index(prompt)
    known = {_plain(name): index for index, name in enumerate(class_names)}
    whole = _plain(prompt)
    framed = FRAME.fullmatch(whole)
    return known.get(whole, known.get(framed[1]) if framed else None)


def _plain(text: str) -> str:
    return " ".join(normal(text).split())


def _class_asked(prompt: str, class_names: Sequence[str]) -> int:
    if not prompt:
        return NO_LABEL
    found = class_of(prompt, class_names)
    if found is None:
        listed = ", ".join(class_names[:SHOWN]) + (", …" if len(class_names) > SHOWN else "")
        raise UserError(
            f"{prompt!r} is not the name of a class, and an arm with text='label()' draws classes."
            f"{nearest(prompt, class_names)} Known: {listed}."
        )
    return found


def _tokens(facts: DataFacts, captions: Sequence[str]) -> Int[np.ndarray, "n length"]:
    return np.stack([facts.tokenizer.encode(caption) for caption in captions])


def _condition(tokens: Int[np.ndarray, "n length"], labels: Sequence[int]) -> Condition:
    return {"tokens": jnp.asarray(tokens), "label": jnp.array(labels, jnp.int32)}
