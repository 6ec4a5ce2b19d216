"""Fashion-MNIST, MNIST and CIFAR-10 under their names, with captions from their classes."""

import numpy as np

from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.data.memory import ArraySource, MemorySource
from diffusion_jax.data.sets.real.published import CIFAR10, FASHION_MNIST, MNIST
from diffusion_jax.data.sets.real.raw import RawSet
from diffusion_jax.errors import UserError
from diffusion_jax.files import user_path

DATA_DIR = "~/tensorflow_datasets"


@datasets.register("fashion_mnist")
def fashion_mnist(
    data_dir: str = DATA_DIR, manual_dir: str | None = None, size: int = 32
) -> Dataset:
    """Fashion-MNIST: 60,000 and 10,000 grey pictures of clothes in ten classes.

    Args:
        data_dir: TFDS's folder of data sets.
        manual_dir: a folder with the four `*-ubyte.gz` files, instead of downloading them.
        size: 28, or more to put the pictures on a larger black ground (32 can be halved
            five times, which U-Nets want).

    Raises:
        UserError: missing or damaged data (the message says how to get it), or a wrong size.
    """
    return _labelled(FASHION_MNIST, data_dir, manual_dir, size)


@datasets.register("mnist")
def mnist(data_dir: str = DATA_DIR, manual_dir: str | None = None, size: int = 32) -> Dataset:
    """MNIST: 60,000 and 10,000 grey pictures of handwritten digits.

    Args and errors are those of `fashion_mnist`.
    """
    return _labelled(MNIST, data_dir, manual_dir, size)


@datasets.register("cifar10")
def cifar10(data_dir: str = DATA_DIR, manual_dir: str | None = None) -> Dataset:
    """CIFAR-10: 50,000 and 10,000 colour pictures, 32 by 32, in ten classes.

    Args:
        data_dir: TFDS's folder of data sets.
        manual_dir: a folder with `cifar-10-binary.tar.gz` or the six `.bin` files from it,
            instead of downloading it.

    Raises:
        UserError: missing or damaged data (the message says how to get it).
    """
    return _labelled(CIFAR10, data_dir, manual_dir, CIFAR10.shape[0])


def _labelled(raw: RawSet, data_dir: str, manual_dir: str | None, size: int) -> Dataset:
    from diffusion_jax.data.sets.real.prepare import load, prepare
    from diffusion_jax.data.sets.real.record import damaged

    border = size - raw.shape[0]
    if border < 0 or border % 2:
        raise UserError(
            f"Data set {raw.name!r}: size={size} cannot be had by adding equal borders to "
            f"pictures of {raw.shape[0]}; give {raw.shape[0]} or {raw.shape[0] + 4}."
        )
    manual = user_path(manual_dir) if manual_dir else None
    builder = prepare(raw, user_path(data_dir), manual)
    captions = tuple(f"a picture of {phrase}" for phrase in raw.phrases)

    def source(split: str) -> MemorySource:
        def pictures() -> ArraySource:
            images, labels = load(builder, split)
            if problem := raw.problem(images, labels):  # it is older than this check of raw files
                raise damaged(builder.data_path, problem)
            padded = np.pad(images, ((0, 0), (border // 2,) * 2, (border // 2,) * 2, (0, 0)))
            return ArraySource(padded, labels, [captions[label] for label in labels])

        return MemorySource(builder.info.splits[split].num_examples, pictures)

    return Dataset(
        name=raw.name,
        train=source("train"),
        test=source("test"),
        shape=(size, size, raw.shape[2]),
        class_names=tuple(phrase.split(" ", 1)[-1] for phrase in raw.phrases),
        captions=captions,
        prompts=captions,
    )
