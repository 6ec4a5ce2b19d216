"""Encoders of text and pictures that others trained; each file registers a member of a family."""

from typing import TYPE_CHECKING, Any

from diffusion_jax.networks.encoders.base import Encoder, Encoding, encoders
from diffusion_jax.registry import import_members

__all__ = ["Encoder", "Encoding", "encoders"]

import_members(__name__, __path__, encoders)

if TYPE_CHECKING:  # what else import_members puts here

    def __getattr__(name: str) -> Any: ...
