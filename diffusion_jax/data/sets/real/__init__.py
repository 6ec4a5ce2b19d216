"""Fashion-MNIST, MNIST and CIFAR-10, which `tfds` cannot prepare without TensorFlow.

TFDS's own builders of these three unpack and encode with it. What is here reads the published
files, and has TFDS download, check and store them. All other sets are for `data.sets.tfds`.
"""

from diffusion_jax.data.sets.real import dataset

__all__ = ["dataset"]
