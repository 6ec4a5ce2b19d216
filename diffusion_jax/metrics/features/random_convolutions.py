"""Features of a convolutional network with random weights."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.example import Values, to_unit
from diffusion_jax.errors import within
from diffusion_jax.metrics.distance import Features
from diffusion_jax.metrics.features.base import CHUNK, Extractor, feature_maps


@feature_maps.register("random_convolutions")
@dataclasses.dataclass(frozen=True)
class RandomConvolutions:
    """Means over space of each layer of a convolutional network with random weights.

    Layer: h = max(0, W * h), 3 × 3, of every other pixel; W is normal, of variance 2/inputs. What
    is seen are textures, edges and colours, wherever they are, and nothing has been learned.

    Attributes:
        width: channels of a layer.
        layers: how many.
        seed: of the weights.

    Source: Naeem et al. 2020 (reliable fidelity and diversity metrics), section 4.3, for embeddings
    with random weights; He et al. 2015 for their variance.
    """

    formula: ClassVar[str] = "f = means over space of each h, h ← max(0, W ∗ h), W ~ N(0, 2/inputs)"

    width: int = 32
    layers: int = 2
    seed: int = 0

    pictures_only: ClassVar[bool] = True

    def __post_init__(self) -> None:
        within(self, 1, 4096, "width")
        within(self, 1, 16, "layers")  # each halves the picture
        within(self, 0, float("inf"), "seed")

    def weights(self, channels: int) -> list[Float[np.ndarray, "3 3 inputs outputs"]]:
        """Of each layer."""
        rng = np.random.default_rng(self.seed)
        inputs = [channels, *[self.width] * (self.layers - 1)]
        return [rng.normal(size=(3, 3, n, self.width)) * np.sqrt(2 / (9 * n)) for n in inputs]

    def dim(self, data: Dataset) -> int:
        return self.width * self.layers

    def fit(self, data: Dataset) -> Extractor:
        weights = [jnp.asarray(w, jnp.float32) for w in self.weights(data.shape[-1])]

        def extract(pictures: Values) -> Features:
            chunks = np.split(pictures, range(CHUNK, len(pictures), CHUNK))
            found = [_layer_means(weights, jnp.asarray(to_unit(chunk))) for chunk in chunks]
            return np.concatenate(found).astype(np.float64)

        return extract


@jax.jit
def _layer_means(
    weights: list[Float[Array, "3 3 _ _"]], x: Float[Array, "batch height width channels"]
) -> Float[Array, "batch dim"]:
    means = []
    for w in weights:
        h = jax.lax.conv_general_dilated(
            x, w, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = jax.nn.relu(h)
        means.append(jnp.mean(x, axis=(1, 2)))
    return jnp.concatenate(means, axis=1)
