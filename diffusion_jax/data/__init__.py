"""Pictures and vectors with captions and labels: data sets by name or of one's own, and batches."""

from diffusion_jax.data import sets
from diffusion_jax.data.arrays import arrays
from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.data.example import Example, Source
from diffusion_jax.data.memory import ArraySource
from diffusion_jax.data.pipeline import batches
from diffusion_jax.data.sets.folder.dataset import folder
from diffusion_jax.data.sets.real.dataset import cifar10, fashion_mnist, mnist
from diffusion_jax.data.sets.shapes.dataset import shapes

__all__ = [
    "ArraySource",
    "Dataset",
    "Example",
    "Source",
    "arrays",
    "batches",
    "cifar10",
    "datasets",
    "fashion_mnist",
    "folder",
    "mnist",
    "sets",
    "shapes",
]
