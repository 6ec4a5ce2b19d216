"""How alike two pictures are to an encoder that others have trained."""

import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from diffusion_jax.errors import UserError
from diffusion_jax.published.encoder import ReleasedEncoder, read_encoder
from diffusion_jax.struct import pytree, static

Pictures = Float[Array, "batch height width colours"]


@pytree
class Perception:
    """The distance of pictures in the features of an encoder, which stays as it is.

    Every layer's tokens are made unit vectors f; the distance is the mean of |f - f'|² over layers
    and tokens.

    Source: Zhang et al. 2018 (the unreasonable effectiveness of deep features), eq. 1, without
    learned weights.

    Attributes:
        params: of the encoder.
        module: it; a member of `encoders` that reads pictures.
        size: height and width that pictures are scaled to, bilinearly.
        mean, std: of each colour from 0 to 1, by which pictures are normalised.
    """

    params: PyTree[Any]
    module: Any = static()
    size: tuple[int, int] = static()
    mean: tuple[float, ...] = static((0.0,))
    std: tuple[float, ...] = static((1.0,))

    def distance(self, x: Pictures, y: Pictures) -> Float[Array, " batch"]:
        """The distance of each x, from -1 to 1, to its y."""
        layers = [
            ((f - g) ** 2).sum(axis=-1).mean(axis=-1)
            for f, g in zip(self.features(x), self.features(y), strict=True)
        ]
        return jnp.stack(layers).mean(axis=0)

    def features(self, x: Pictures) -> tuple[Float[Array, "batch tokens numbers"], ...]:
        """Unit vectors of each token after each layer."""
        colours = jnp.broadcast_to(x, (*x.shape[:-1], 3)) if x.shape[-1] == 1 else x
        scaled = jax.image.resize(colours, (len(x), *self.size, 3), "bilinear")
        given = ((scaled + 1) / 2 - jnp.array(self.mean)) / jnp.array(self.std)
        hidden = self.module.apply({"params": self.params}, given).hidden[1:]
        return tuple(_unit(tokens) for tokens in hidden)


def _unit(tokens: Float[Array, "batch tokens numbers"]) -> Float[Array, "batch tokens width"]:
    square = (tokens**2).sum(axis=-1, keepdims=True)
    return tokens * jax.lax.rsqrt(square + 1e-10)


def read_perception(path: str | Path) -> Perception:
    """The perception of a released encoder of pictures: DINOv2, or CLIP.

    Args:
        path: of its folder, which says how pictures are prepared.

    Raises:
        UserError: there is none, it reads no pictures, or its folder does not say that.
    """
    found = read_encoder(path)
    if found.part.module.reads == "both":
        found = read_encoder(path, half="pictures")
    if found.part.module.reads != "pictures" or found.preprocessing is None:
        raise UserError(
            f"{found.path} is a {type(found.part.module).__name__}: a perceptual error needs an "
            "encoder of pictures, and a preprocessor_config.json beside it."
        )
    return _perception(found)


def _perception(found: ReleasedEncoder) -> Perception:
    told = found.preprocessing
    assert told is not None, "it has been checked"
    if told.scale is None or not math.isclose(told.scale, 1 / 255, rel_tol=1e-3):
        raise UserError(f"{found.path} is for pictures whose bytes are multiplied by {told.scale}.")
    side = told.size if isinstance(told.size, int) else None
    size = told.crop or (told.size if isinstance(told.size, tuple) else (side or 224,) * 2)
    return Perception(
        found.part.params,
        found.part.module,
        (size[0], size[1]),
        tuple(told.mean or (0.0,)),
        tuple(told.std or (1.0,)),
    )
