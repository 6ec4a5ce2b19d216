"""Pipelines: how each kind of released model is asked, a member a file."""

from typing import TYPE_CHECKING, Any

from diffusion_jax.published.pipelines.base import Pipeline, pipelines
from diffusion_jax.registry import import_members

__all__ = ["Pipeline", "pipelines"]

import_members(__name__, __path__, pipelines)

if TYPE_CHECKING:  # what else import_members puts here

    def __getattr__(name: str) -> Any: ...
