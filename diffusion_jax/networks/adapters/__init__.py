"""What of a network with parameters is trained: some of them, or low-rank terms beside them.

Each file registers a member of the family. None holds a network: they are functions of trees of
parameters, so that they serve any network.
"""

from typing import TYPE_CHECKING, Any

from diffusion_jax.networks.adapters.base import Adapter, Tuning, adapters
from diffusion_jax.registry import import_members

__all__ = ["Adapter", "Tuning", "adapters"]

import_members(__name__, __path__, adapters)

if TYPE_CHECKING:  # what else import_members puts here

    def __getattr__(name: str) -> Any: ...
