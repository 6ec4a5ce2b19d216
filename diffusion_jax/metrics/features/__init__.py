"""What distances between sets of pictures look at: vectors made of pictures.

Each is stated in full and the same on any machine; only `released` needs weights from elsewhere. A
member is a file here.
"""

from diffusion_jax.metrics.features.base import CHUNK, Extractor, FeatureMap, feature_maps
from diffusion_jax.metrics.features.block_means import BlockMeans
from diffusion_jax.metrics.features.pixels import Pixels
from diffusion_jax.metrics.features.principal import COLUMNS, FITTED, Principal
from diffusion_jax.metrics.features.random_convolutions import RandomConvolutions
from diffusion_jax.metrics.features.released import ReleasedFeatures
from diffusion_jax.registry import import_members

import_members(__name__, __path__)

__all__ = [
    "CHUNK",
    "COLUMNS",
    "FITTED",
    "BlockMeans",
    "Extractor",
    "FeatureMap",
    "Pixels",
    "Principal",
    "RandomConvolutions",
    "ReleasedFeatures",
    "feature_maps",
]
