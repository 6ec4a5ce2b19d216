"""What networks are asked for: what examples show, or what users say."""

from collections.abc import Collection, Sequence

import jax.numpy as jnp

from diffusion_jax.errors import UserError
from diffusion_jax.networks import conditioners
from diffusion_jax.networks.conditioners.base import Condition, Conditioner, Example, Rows
from diffusion_jax.networks.functions import AnyNetwork


def encode(networks: Collection[AnyNetwork], examples: Sequence[Example]) -> Condition:
    """The condition under which samples are to be like examples.

    Args:
        networks: that shall draw.
        examples: n of the data set that they were trained on.

    Returns:
        Key -> (n, ...), for all keys that the networks read.
    """
    return on_device(conditioners.base.encode(_parts(networks), examples))


def nothing(networks: Collection[AnyNetwork]) -> Condition:
    """The condition, of one row, that asks for nothing in particular."""
    return on_device(conditioners.base.ask(_parts(networks), [""]))


def asked(
    networks: Collection[AnyNetwork], prompts: Sequence[str], class_name: str = ""
) -> Condition:
    """The condition that a user's prompts are to networks.

    Those that read captions are given a prompt's words, those that read classes the class that it
    names, or `class_name`.

    Args:
        networks: that shall draw.
        prompts: n of them; "" asks for nothing in particular.
        class_name: of a class, for all prompts; "" where they name their own.

    Returns:
        Key -> (n, ...), for all keys that the networks read.

    Raises:
        UserError: a word that a network does not know, a prompt for a network of classes that
            names none, or something asked for that none of the networks reads.
    """
    parts = _parts(networks)
    answers = {answer for part in parts for answer in part.answers}
    if class_name and "class name" not in answers:
        raise UserError(
            f"No class can be chosen ({class_name!r}): only arms with conditioner='label()' can."
        )
    if any(prompts) and not parts:
        raise UserError(
            f"Nothing can be asked for ({prompts[0]!r}): these networks were trained with "
            "conditioner='none', so leave out the prompt."
        )
    return on_device(conditioners.base.ask(parts, prompts, class_name))


def _parts(networks: Collection[AnyNetwork]) -> list[Conditioner]:
    return [network.conditioner for network in networks if network.conditioner is not None]


def on_device(rows: Rows) -> Condition:
    """Rows as JAX's arrays."""
    return {key: jnp.asarray(values) for key, values in rows.items()}
