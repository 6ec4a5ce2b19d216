"""A trained autoencoder as a folder that data sets of latents, and other libraries, read."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.example import Source, take, values_of
from diffusion_jax.data.latents import LatentCodec
from diffusion_jax.published.autoencoder import FOLDER, read_autoencoder
from diffusion_jax.published.parts import Part
from diffusion_jax.published.writing import configuration_of, export_network
from diffusion_jax.runs.run import Run
from diffusion_jax.training.arm import Arm
from diffusion_jax.training.autoencoding import module_of
from diffusion_jax.training.trained import TrainedArm, read_arms

MEASURED = 1024  # training pictures of which the latents' scale is taken
COMPARED = 256  # test pictures that are given back
BATCH = 16


def write_autoencoders(run: Run, arms: Mapping[str, Arm], data: Dataset) -> dict[str, Path]:
    """Writes the averaged autoencoders of a run: arm -> its folder.

    That is `vae` in the run's folder, which `latents(autoencoder=RUN)` finds, or where the run has
    several arms `vae-ARM`. Arms that are none, or diverged, are left out.

    Args:
        run: that has trained them.
        arms: of its config.
        data: that they were trained on.

    Raises:
        UserError: there is no room on disk.
    """
    names = tuple(name for name, arm in arms.items() if arm.autoencoding is not None)
    if not names:
        return {}
    found = {}
    for name, trained in read_arms(run, arms, names).items():
        if trained.diverged is None:
            out = run.folder / (FOLDER if len(arms) == 1 else f"{FOLDER}-{name}")
            found[name] = write_autoencoder(trained, data, out)
    return found


def write_autoencoder(trained: TrainedArm, data: Dataset, out: Path) -> Path:
    """Writes a trained autoencoder as diffusers does; an older one there is replaced.

    Its latents are scaled to mean 0 and variance 1, channel by channel, over the latents that are
    drawn for up to 1,024 training pictures: var z = var μ + E s².

    Args:
        trained: an arm that is one.
        data: that it was trained on.
        out: the folder.

    Raises:
        UserError: there is no room on disk.
    """
    plain = {"scaling_factor": 1.0, "shift_factor": None, "latents_mean": None, "latents_std": None}
    module = module_of(trained.arm.network).clone(**plain)
    channels = data.shape[2]
    told = configuration_of(module, channels, trained.params)
    codec = LatentCodec(Part(module, trained.params, told), BATCH)
    moments = [codec.encode(values_of(part)) for part in _spread(data.train, MEASURED)]
    mean, variance = (np.concatenate(each) for each in zip(*moments, strict=True))
    axes = tuple(range(mean.ndim - 1))
    std = np.sqrt(mean.var(axis=axes) + np.exp(variance).mean(axis=axes))
    scaled = module.clone(
        latents_mean=tuple(map(float, mean.mean(axis=axes))),
        latents_std=tuple(float(max(each, np.finfo(np.float32).tiny)) for each in std),
    )
    if out.exists():
        shutil.rmtree(out)
    return export_network(scaled, trained.params, channels, out)


def reconstruction_error(folder: Path, data: Dataset) -> float:
    """The root of the mean square error of pictures that are given back, in values of a byte.

    Args:
        folder: of the autoencoder.
        data: its first test pictures, up to 256, are given back; of a set without, training ones.

    Raises:
        UserError: the folder has no autoencoder.
    """
    codec = LatentCodec(read_autoencoder(folder), BATCH)
    source = data.test if len(data.test) else data.train
    pictures = values_of(take(source, range(min(COMPARED, len(source)))))
    back = 127.5 * (np.clip(codec.decode(codec.encode(pictures)[0]), -1, 1) + 1)
    return float(np.sqrt(np.mean((back - pictures.astype(np.float64)) ** 2)))


def _spread(source: Source, most: int) -> list[list[dict[str, object]]]:
    """Batches of examples that lie evenly in a source."""
    count = min(most, len(source))
    rows = [len(source) * k // count for k in range(count)]
    return [take(source, rows[i : i + BATCH]) for i in range(0, count, BATCH)]
