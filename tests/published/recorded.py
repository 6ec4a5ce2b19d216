"""What small models of the original libraries gave (`record/`), and networks held against it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffusion_jax.networks import networks
from diffusion_jax.networks.conditioners.base import Context
from diffusion_jax.networks.configurations import from_configuration
from diffusion_jax.published.model import ReleasedModel
from diffusion_jax.published.names import names_of, to_params

DATA = Path(__file__).parent / "data"
TENSORS, GIVEN = "sd/", "in/"


def off(file: Path, dtype: str, against: str) -> float:
    """The largest error of a network, relative to the root mean square of what is recorded.

    Args:
        file: what `record.transformers` wrote; its name is NETWORK_SEED.npz.
        dtype: of the computation.
        against: the array to compare with.
    """
    with np.load(file) as stored:
        arrays = dict(stored)
    kind = networks[file.stem.rpartition("_")[0]]
    network = from_configuration(kind, json.loads(str(arrays["config"])), dtype=dtype)
    found = output(network, arrays, dtype)
    recorded = arrays[against].astype(np.float64)
    assert found.shape == recorded.shape, (found.shape, recorded.shape)
    return float(np.abs(found - recorded).max() / np.sqrt(np.mean(recorded**2)))


def output(network: Any, arrays: Mapping[str, np.ndarray], dtype: str) -> np.ndarray:
    """What a network with the recorded tensors gives, channels first."""
    x = jnp.asarray(np.moveaxis(arrays[f"{GIVEN}x"], 1, -1), dtype)
    c_noise = jnp.asarray(arrays[f"{GIVEN}t"], dtype)
    given = x, c_noise, _context(arrays, dtype)
    tensors = {k.removeprefix(TENSORS): v for k, v in arrays.items() if k.startswith(TENSORS)}
    shapes = jax.eval_shape(network.init, jax.random.key(0), *given)["params"]
    params = to_params(shapes, tensors, names_of(network), dtype)
    return np.moveaxis(np.asarray(jax.jit(network.apply)({"params": params}, *given)), -1, 1)


def check_drawn(model: ReleasedModel, folder: Path, case: str, key: str = "", **told: Any) -> None:
    """Holds latents and pictures of a model against those of a recorded case, row by row.

    Args:
        model: read from the folder.
        folder: what `record.prompts` or `record.flows` wrote.
        case: what its arrays are called, after "latent" and "pt".
        key: name of the argument that has an entry for each row, if there is one.
        told: what `ReleasedModel.sample` is told besides.
    """
    recorded = json.loads((folder / "cases.json").read_text())
    with np.load(folder / "drawn.npz") as stored:
        arrays = {name: stored[f"{name}"] for name in ("noise", f"latent{case}", f"pt{case}")}
    noise = jnp.moveaxis(arrays["noise"], 1, -1)
    for row, prompt in enumerate(recorded["prompts"]):
        own = {key: told[key][row]} if key else {}
        found = model.sample(
            [prompt],
            jax.random.key(0),
            size=tuple(recorded["size"]),
            noise=noise[row : row + 1],
            latents=True,
            **{**told, **own},
        )
        latents = np.moveaxis(arrays[f"latent{case}"][row], 0, -1)
        assert np.abs(found[0] - latents).max() < 1e-4 * np.sqrt(np.mean(latents**2))
        picture = np.moveaxis(np.asarray(model.decode(found)[0]), -1, 0) / 2 + 0.5
        assert np.abs(np.clip(picture, 0, 1) - arrays[f"pt{case}"][row]).max() < 1e-4


def _context(arrays: Mapping[str, np.ndarray], dtype: str) -> Context:
    """What else went in: classes as one-hot vectors, with one more for none."""
    batch = len(arrays[f"{GIVEN}x"])
    pooled = arrays.get(f"{GIVEN}pooled", np.zeros((batch, 0)))
    if (labels := arrays.get(f"{GIVEN}labels")) is not None:
        tables = [v for k, v in arrays.items() if k.endswith("embedding_table.weight")]
        pooled = np.eye(len(tables[0]))[labels]
    tokens = arrays.get(f"{GIVEN}tokens", pooled[:, None])
    mask = arrays.get(f"{GIVEN}mask", np.ones(tokens.shape[:2], bool))
    numbers = arrays.get(f"{GIVEN}numbers")
    numbers = None if numbers is None else jnp.asarray(numbers, dtype)
    return Context(
        jnp.asarray(tokens, dtype), jnp.asarray(mask), jnp.asarray(pooled, dtype), None, numbers
    )
