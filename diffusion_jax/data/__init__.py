"""Pictures and vectors with captions and labels: data sets by name or of one's own, and batches."""

from typing import TYPE_CHECKING, Any

from diffusion_jax.data import sets
from diffusion_jax.data.arrays import arrays
from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.data.encoded import encoded
from diffusion_jax.data.example import Example, Source
from diffusion_jax.data.memory import ArraySource
from diffusion_jax.data.pipeline import batches
from diffusion_jax.data.sets.array_records import array_records
from diffusion_jax.data.sets.coco import coco
from diffusion_jax.data.sets.emoji.dataset import emoji
from diffusion_jax.data.sets.flickr30k import flickr30k
from diffusion_jax.data.sets.folder.dataset import folder
from diffusion_jax.data.sets.latents import latents
from diffusion_jax.data.sets.npz import npz
from diffusion_jax.data.sets.parquet import parquet
from diffusion_jax.data.sets.real.dataset import cifar10, fashion_mnist, mnist
from diffusion_jax.data.sets.shapes.dataset import shapes
from diffusion_jax.data.sets.stamps import stamps
from diffusion_jax.data.sets.tfds import tfds
from diffusion_jax.data.sets.two_dimensions import (
    checkerboard,
    eight_gaussians,
    ring,
    swiss_roll,
    two_moons,
)
from diffusion_jax.data.sets.visual_genome import visual_genome
from diffusion_jax.data.sets.web_dataset.dataset import web_dataset
from diffusion_jax.registry import export_members

__all__ = [
    "ArraySource",
    "Dataset",
    "Example",
    "Source",
    "array_records",
    "arrays",
    "batches",
    "checkerboard",
    "cifar10",
    "coco",
    "datasets",
    "eight_gaussians",
    "emoji",
    "encoded",
    "fashion_mnist",
    "flickr30k",
    "folder",
    "latents",
    "mnist",
    "npz",
    "parquet",
    "ring",
    "sets",
    "shapes",
    "stamps",
    "swiss_roll",
    "tfds",
    "two_moons",
    "visual_genome",
    "web_dataset",
]

export_members(__name__, datasets)

if TYPE_CHECKING:  # what else export_members puts here

    def __getattr__(name: str) -> Any: ...
