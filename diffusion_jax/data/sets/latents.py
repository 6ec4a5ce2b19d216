"""Any data set of pictures as the latents of an autoencoder."""

import dataclasses
from pathlib import Path

import numpy as np

from diffusion_jax.data.dataset import Dataset, Decoded, datasets
from diffusion_jax.data.latents import LatentCodec, prepare
from diffusion_jax.data.records.source import RANDOM
from diffusion_jax.errors import UserError, one_of
from diffusion_jax.files import user_path
from diffusion_jax.published.autoencoder import read_autoencoder
from diffusion_jax.registry import Spec, parse, spec_text

NAME = "latents"
DTYPES = ("float16", "float32")
BATCH = 16
FOLDER = "latents"  # where they are kept, in the current folder


@datasets.register(NAME)
def latents(
    data: Dataset,
    autoencoder: str,
    folder: str = FOLDER,
    dtype: str = "float16",
    variant: str = "",
    batch_size: int = BATCH,
) -> Dataset:
    """A data set of pictures as the latents of an autoencoder, encoded once and kept on disk.

    Kept are mean and log-variance of each, scaled as diffusion models see them. Training draws
    from them, by (seed, position); elsewhere the mean is taken. Pictures are cut in the middle,
    and not mirrored. Captions and all else that examples say is kept too. What is there already,
    of the same weights, settings and pictures, is not made again; where making it was cut off, it
    goes on.

    Args:
        data: of pictures.
        autoencoder: its folder, that of a released model, or that of a run that has trained one.
        folder: where latents are kept: two numbers for each of a latent's.
        dtype: that they are kept in, "float16" or "float32"; the first rounds by 1 in 2,048.
        variant: of several files of weights, such as "fp16".
        batch_size: pictures encoded, and latents decoded, at once.

    Raises:
        UserError: the data are no pictures, or cut at random; there is no such autoencoder, or it
            cannot take them; or see `latents.prepare`.
    """
    if not data.has_pictures:
        raise UserError(f"Latents are of pictures, and the data set {data.name!r} has {data.form}.")
    if getattr(data.train, "crop", "") == RANDOM:
        raise UserError(
            f"Latents are of one cut of each picture: give the data set {data.name!r} "
            "crop='center'."
        )
    kind = np.dtype(one_of(dtype, DTYPES, "dtype of latents"))
    codec = _codec(autoencoder, variant, batch_size)
    train, test = prepare(data, codec, user_path(folder), kind)
    return dataclasses.replace(
        data,
        name=NAME,
        train=train,
        test=test,
        shape=codec.shape(data.shape),
        distribution=None,
        decoded=Decoded(data, codec.decode),
    )


def _codec(autoencoder: str | Path, variant: str, batch_size: int) -> LatentCodec:
    if batch_size < 1:
        raise UserError(f"Data set {NAME!r}: batch_size={batch_size}; give 1 or more.")
    return LatentCodec(read_autoencoder(autoencoder, variant), batch_size)


def codec_of(spec: str, fingerprint: str) -> LatentCodec | None:
    """The autoencoder of a data set, which is not made; None where it is none of latents.

    Args:
        spec: of the data set.
        fingerprint: that its examples had in training; "" if that is not known.

    Raises:
        UserError: there is no such autoencoder, or another than in training.
    """
    told = _of_latents(spec)
    if told is None:
        return None
    given = {"variant": "", "batch_size": BATCH, **told.settings}
    path = str(given.get("autoencoder", ""))
    codec = _codec(path, str(given["variant"]), int(given["batch_size"]))
    if fingerprint and not fingerprint.startswith(codec.fingerprint):
        raise UserError(
            f"The autoencoder {path} has other weights or settings than that whose latents were "
            "trained on: samples cannot be decoded by it."
        )
    return codec


def pictures_of(spec: str) -> str:
    """The spec of the pictures that a data set's latents are of; of others, their own."""
    told = _of_latents(spec)
    return spec if told is None else spec_text(told.settings["data"])


def _of_latents(spec: str) -> Spec | None:
    try:
        told = parse(spec, "data set")
    except UserError:  # the name of data that were given from Python
        return None
    return told if told.name == NAME else None
