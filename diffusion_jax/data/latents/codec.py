"""Bytes to latents and back, by an autoencoder, in batches of one size."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, PyTree, UInt8

from diffusion_jax.data.example import to_unit
from diffusion_jax.errors import UserError
from diffusion_jax.published.autoencoder import part_digest
from diffusion_jax.published.parts import Part

Latents = Float32[np.ndarray, "n height width channels"]


@dataclasses.dataclass(frozen=True, eq=False)
class LatentCodec:
    """An autoencoder as data sets and samplers use it.

    Attributes:
        part: the module with its parameters.
        batch_size: examples at once.
    """

    part: Part
    batch_size: int = 16

    @functools.cached_property
    def fingerprint(self) -> str:
        """A digest of its weights and settings."""
        return part_digest(self.part)

    def shape(self, pictures: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the latents of a picture.

        Args:
            pictures: (height, width, colours).

        Raises:
            UserError: it cannot take such pictures.
        """
        takes = int(self.part.configuration.get("in_channels", 3))
        if pictures[2] != takes:
            raise UserError(
                f"The autoencoder takes pictures of {takes} channels, and these have {pictures[2]}."
            )
        given = jax.ShapeDtypeStruct((1, *pictures), jnp.float32)
        found, _ = jax.eval_shape(self._encoded, self.part.params, given)
        return tuple(map(int, found.shape[1:]))

    def encode(
        self, pictures: UInt8[np.ndarray, "n rows columns colours"]
    ) -> tuple[Latents, Latents]:
        """Mean and log-variance of the latents of pictures, as diffusion models see them.

        The autoencoder tells them of its own latents z; what normalises these is affine in each
        number, so that the mean goes through it, and the standard deviation through its
        derivative. A log-variance is minus infinity where the autoencoder is certain.
        """
        mean, std = self._in_batches(self._encoded, to_unit(pictures))
        with np.errstate(divide="ignore"):
            return mean, 2 * np.log(np.abs(std))

    def decode(self, latents: Latents) -> Float32[np.ndarray, "n rows columns colours"]:
        """The pictures, about from -1 to 1, that latents stand for."""
        (pictures,) = self._in_batches(self._decoded, latents)
        return pictures

    def _in_batches(
        self, function: Callable[[PyTree, Array], tuple[Array, ...]], rows: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """A function of rows, a batch at a time; the last is filled up by repeating rows."""
        made: list[tuple[np.ndarray, ...]] = []
        for first in range(0, len(rows), self.batch_size):
            chosen = np.arange(first, first + self.batch_size) % len(rows)
            found = function(self.part.params, jnp.asarray(rows[chosen]))
            made.append(tuple(np.asarray(each, np.float32) for each in found))
        return tuple(np.concatenate(each)[: len(rows)] for each in zip(*made, strict=True))

    @functools.cached_property
    def _encoded(self) -> Any:
        module = self.part.module

        def encode(params: PyTree, x: Array) -> tuple[Array, Array]:
            def normalised(z: Array) -> Array:
                found: Array = module.apply({"params": params}, z, method="normalise")
                return found

            mean, log_variance = module.apply({"params": params}, x, method="encode")
            found: tuple[Array, Array] = jax.jvp(normalised, (mean,), (jnp.exp(log_variance / 2),))
            return found

        return jax.jit(encode)

    @functools.cached_property
    def _decoded(self) -> Any:
        module = self.part.module

        def decode(params: PyTree, latents: Array) -> tuple[Array]:
            return (module.apply({"params": params}, latents, method="reconstruct"),)

        return jax.jit(decode)
