"""Tokenizers: captions as integers, for text encoders."""

from typing import TYPE_CHECKING, Any

from diffusion_jax.networks.tokenizers.base import PADDING, Tokenizer, tokenizers
from diffusion_jax.networks.tokenizers.byte_pairs import BytePairs
from diffusion_jax.networks.tokenizers.released import Released
from diffusion_jax.networks.tokenizers.words import Words
from diffusion_jax.registry import import_members

__all__ = ["PADDING", "BytePairs", "Released", "Tokenizer", "Words", "tokenizers"]

import_members(__name__, __path__, tokenizers)

if TYPE_CHECKING:  # what else import_members puts here

    def __getattr__(name: str) -> Any: ...
