"""Tokenizers: captions as integers, for text encoders."""

from diffusion_jax.networks.tokenizers.base import PADDING, Tokenizer, tokenizers
from diffusion_jax.networks.tokenizers.byte_pairs import BytePairs
from diffusion_jax.networks.tokenizers.released import Released
from diffusion_jax.networks.tokenizers.words import Words
from diffusion_jax.registry import import_members

import_members(__name__, __path__)

__all__ = ["PADDING", "BytePairs", "Released", "Tokenizer", "Words", "tokenizers"]
