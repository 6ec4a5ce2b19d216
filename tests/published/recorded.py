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
