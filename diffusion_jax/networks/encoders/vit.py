"""What encoders of pictures share: patches, a class token, places, and layers."""

from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError
from diffusion_jax.networks import checks
from diffusion_jax.networks.configurations import rows
from diffusion_jax.networks.encoders.base import (
    Encoder,
    Encoding,
    Mask,
    Pictures,
    Tokens,
    at_least_single,
)

Grid = Float[Array, "batch rows columns features"]
Vector = Float[Array, " features"]


class ViT(Encoder):
    """A transformer over patches of a picture and a token of the whole, which is pooled.

    What is left of a side behind the last whole patch is not looked at, as in the originals.

    Source: Dosovitskiy et al. 2020 (ViT), section 3.1.

    Attributes:
        hidden_size: features of a token.
        num_hidden_layers: layers.
        num_attention_heads: heads; divides hidden_size.
        image_size: side of the pictures that the table of places is for.
        patch_size: side of a patch.
        num_channels: colours.
        attention_implementation: as of a `DiT`.
        dtype: dtype of the computation; results are at least float32.

    Raises:
        UserError: a setting that cannot work, or a picture that does not fit.
    """

    reads: ClassVar[str] = "pictures"

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    image_size: int = 224
    patch_size: int = 14
    num_channels: int = 3
    attention_implementation: str = "xla"
    dtype: str = "float32"

    def _check(self, owner: str, hidden: int) -> None:
        """Refuses settings that cannot work.

        Args:
            owner: the encoder, as the user wrote it.
            hidden: features within the layers after attention.
        """
        counts = (
            *("hidden_size", "num_hidden_layers", "num_attention_heads", "image_size"),
            *("patch_size", "num_channels"),
        )
        checks.positive_integers(owner, **{name: getattr(self, name) for name in counts})
        width, heads = self.hidden_size, self.num_attention_heads
        checks.divides(owner, width, "hidden_size", heads, "the number of heads")
        weights = self.num_hidden_layers * width * (4 * width + 2 * hidden)
        checks.size(owner, self.num_hidden_layers, weights)
        checks.attention(owner, self.attention_implementation, [width // heads], self.dtype)
        if self.patch_size > self.image_size:
            raise UserError(
                f"{owner}: image_size={self.image_size} must be at least patch_size="
                f"{self.patch_size}."
            )

    @property
    def width(self) -> int:
        """Features of a token."""
        return self.hidden_size

    @property
    def side(self) -> int:
        """Patches along a side of the pictures that the table of places is for."""
        return self.image_size // self.patch_size

    @nn.nowrap
    def example(self, configuration: Mapping[str, Any]) -> tuple[Any, ...]:
        """The shape of a picture."""
        return (rows(self.image_size, self.image_size, self.num_channels),)

    @nn.nowrap
    def _patches(self, name: str, use_bias: bool, std: float) -> nn.Conv:
        """The map from patches to tokens."""
        side = self.patch_size, self.patch_size
        init = nn.initializers.normal(std)
        return nn.Conv(
            self.hidden_size,
            side,
            side,
            "VALID",
            use_bias=use_bias,
            kernel_init=init,
            dtype=self.dtype,
            name=name,
        )

    def _cells(self, pictures: Pictures) -> Grid:
        """A token for each patch.

        Raises:
            UserError: they are no pictures of its colours, or are smaller than a patch.
        """
        owner, least = type(self).__name__, self.patch_size
        if pictures.ndim != 4 or pictures.shape[-1] != self.num_channels:
            raise UserError(
                f"{owner} takes pictures (batch, height, width, {self.num_channels}), got shape "
                f"{tuple(pictures.shape)}."
            )
        if min(pictures.shape[1:3]) < least:
            raise UserError(
                f"{owner} takes pictures of {least}x{least} pixels at least, got "
                f"{pictures.shape[2]}x{pictures.shape[1]}."
            )
        cells: Array = self.patches(pictures.astype(self.dtype))
        return cells

    def _tokens(self, cells: Grid, whole: Vector, place: Vector, places: Array) -> Tokens:
        """The token of the whole picture and those of its patches, each with its place."""
        first = jnp.broadcast_to(whole + place, (len(cells), 1, self.hidden_size))
        rest = (cells + places).reshape(len(cells), -1, self.hidden_size)
        return jnp.concatenate([first.astype(rest.dtype), rest], axis=1)

    def _through(self, h: Tokens) -> tuple[Tokens, ...]:
        """What goes into the first layer, and what each gives."""
        hidden = [h]
        for block in self.blocks:
            hidden.append(block(hidden[-1]))
        return tuple(map(at_least_single, hidden))

    def __call__(self, pictures: Pictures, mask: Mask | None = None) -> Encoding:
        """Encodes pictures, (batch, height, width, colours), normalised as the original's are.

        Raises:
            UserError: a picture that does not fit, or a mask, which no picture has.
        """
        if mask is not None:
            raise UserError(f"{type(self).__name__} reads whole pictures, and takes no mask.")
        return self._encoded(pictures)

    def _encoded(self, pictures: Pictures) -> Encoding:
        raise NotImplementedError
