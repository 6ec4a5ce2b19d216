"""Pictures and captions as what the parts of a released model make of them."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.example import Source, caption_of, label_of, take, to_unit, values_of
from diffusion_jax.errors import UserError
from diffusion_jax.published.model import ReleasedModel


def encoded(data: Dataset, model: ReleasedModel, batch_size: int = 16) -> dict[str, np.ndarray]:
    """Latents of the pictures of a data set, and what text encoders make of its captions.

    Examples for testing follow those for training. Of several captions the first is taken. With
    `np.savez(path, **encoded(data, model))` they are a data set, `npz(path=…)`, whose arrays the
    conditioner `embeddings` reads.

    Args:
        data: of pictures.
        model: with an autoencoder.
        batch_size: pictures at once.

    Returns:
        `x0`, float32 (n, height, width, channels); where there are classes, `labels` and
        `class_names`; where the model reads words, `captions` and the condition for each.

    Raises:
        UserError: the data are no pictures, or the model has no autoencoder.
    """
    if not data.has_pictures or "vae" not in model.parts:
        raise UserError(
            f"Latents are of pictures and an autoencoder: the data are {data.form}, and the model "
            f"has {', '.join(model.parts)}."
        )
    parts = [_batch(each, model) for each in _batches((data.train, data.test), batch_size)]
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if data.class_names:
        found["class_names"] = np.array(data.class_names)
    else:
        del found["labels"]
    return found


def _batches(sources: tuple[Source, ...], size: int) -> list[tuple[Source, range]]:
    return [
        (source, range(i, min(i + size, len(source))))
        for source in sources
        for i in range(0, len(source), size)
    ]


def _batch(rows: tuple[Source, range], model: ReleasedModel) -> Mapping[str, np.ndarray]:
    examples = take(rows[0], list(rows[1]))
    pictures = jnp.asarray(to_unit(values_of(examples)))
    found = {
        "x0": np.asarray(model.encode(pictures), np.float32),
        "labels": np.array([label_of(each) for each in examples]),
    }
    if model.tokenizers:
        captions = [caption_of(each) for each in examples]
        height, width = pictures.shape[1:3]
        asked = model.ask(captions, (height, width))
        told = {name: np.asarray(array) for name, array in asked.items() if array.shape[-1]}
        found |= {"captions": np.array(captions), **told}
    return found
