"""Prompts through the tokenizers and text encoders of a released model."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, PyTree

from diffusion_jax.errors import UserError
from diffusion_jax.networks.encoders import Encoder, Encoding
from diffusion_jax.published.encoder import encode
from diffusion_jax.published.pipelines.base import Asked, Prompts

LONGEST = 512  # tokens of T5 that the original pipelines take


def encoded(
    model: Asked,
    prompts: Prompts,
    suffix: str = "",
    length: int | None = None,
    masked: bool = False,
) -> tuple[Encoding, Bool[np.ndarray, "batch length"]]:
    """What a text encoder makes of prompts, and which tokens are no padding.

    Args:
        model: with the parts "tokenizer" and "text_encoder".
        prompts: None is "".
        suffix: of the names of these parts, such as "_2".
        length: of all prompts, in tokens; None is what the tokenizer says.
        masked: let no token look at padding.

    Raises:
        UserError: a part is missing, or the tokenizer is not this encoder's.
    """
    tokenizer, part = f"tokenizer{suffix}", f"text_encoder{suffix}"
    for name, held in ((tokenizer, model.tokenizers), (part, model.parts)):
        if name not in held:
            raise UserError(f"This model's folder has no {name!r}, so that it reads no prompts.")
    ids, mask = model.tokenizers[tokenizer]([prompt or "" for prompt in prompts], length)
    module, params = model.parts[part].module, model.parts[part].params
    if ids.max(initial=0) >= module.vocab_size:
        raise UserError(
            f"{tokenizer} gives the id {ids.max()}, and {part} has {module.vocab_size}: they are "
            "of two models."
        )
    return encode(module, params, jnp.asarray(ids), jnp.asarray(mask) if masked else None), mask


def check_length(length: int) -> None:
    """Refuses lengths of prompts that T5 is not asked for.

    Raises:
        UserError: none, or more than 512 tokens.
    """
    if not 1 <= length <= LONGEST:
        raise UserError(f"max_sequence_length must be 1 to {LONGEST}, not {length}.")


def skipped(encoding: Encoding, last: int, skip: int) -> int:
    """Which of the hidden states is read, from behind: 1 is the last.

    Args:
        encoding: of prompts.
        last: which one is read if nothing is skipped.
        skip: layers before it that are left out as well.

    Raises:
        UserError: there are not so many.
    """
    if not 0 <= skip <= len(encoding.hidden) - last:
        most = len(encoding.hidden) - last
        raise UserError(f"clip_skip={skip} must be 0 to {most} for this model.")
    return last + skip


@functools.partial(jax.jit, static_argnums=0)
def normalised(module: Encoder, params: PyTree, hidden: Array) -> Array:
    """The last norm of an encoder, for the result of a layer before the last."""
    found = module.apply({"params": params}, hidden, method="normalise")
    assert isinstance(found, Array)
    return found
