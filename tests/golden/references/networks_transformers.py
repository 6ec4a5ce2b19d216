"""Transformers of DiT and SiT, with recorded parameters."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from diffusion_jax.networks.transformers.embeddings import timestep_features
from diffusion_jax.networks.transformers.original_dit import OriginalDiT
from diffusion_jax.networks.transformers.positions import sincos_table
from diffusion_jax.networks.transformers.sit import SiT
from tests.golden.check import Comparisons, checks, same
from tests.golden.load import Case
from tests.golden.networks import channels_last, close, context, evaluated, outputs

GUIDED = 3  # channels that their guidance acts on, the first ones


def settings_of(case: Case) -> dict[str, Any]:
    """Settings that both networks have; of the others some say only what comes in."""
    given = case.kwargs
    assert case["x"].shape[1:] == (given["in_channels"], *[given["input_size"]] * 2)
    _ = given["class_dropout_prob"]  # of training alone
    names = "patch_size", "hidden_size", "depth", "num_heads"
    return {name: given[name] for name in names} | {"mlp_ratio": given.get("mlp_ratio", 4.0)}


@checks("dit", "net_dit")
def dit(case: Case) -> Comparisons:
    outputs = 2 if case.kwargs["learn_sigma"] else 1
    make = functools.partial(OriginalDiT, **settings_of(case), outputs=outputs)
    features = timestep_features(jnp.asarray(case["t"]), dtype=np.float64)
    yield same("features of timesteps", features, case["t_embedding"], atol=1e-12)
    yield from network(case, lambda dtype: make(dtype=dtype))


@checks("sit", "net_sit")
def sit(case: Case) -> Comparisons:
    make = functools.partial(SiT, **settings_of(case), learn_sigma=case.kwargs["learn_sigma"])
    yield from network(case, lambda dtype: make(dtype=dtype))


def network(case: Case, make: Callable[[str], nn.Module]) -> Comparisons:
    """The table of places, the output, and the output under guidance as theirs combines it."""
    side = case.kwargs["input_size"] // case.kwargs["patch_size"]
    width = case.kwargs["hidden_size"]
    table = sincos_table(side, side, width).reshape(1, side**2, width)
    yield same("table of places", table, case["pos_embed"], atol=1e-7)

    def one_hot(labels: str) -> Any:
        return context(pooled=np.eye(case.kwargs["num_classes"] + 1)[case[labels]])

    yield from outputs(case, make, channels_last(case["x"]), case["t"], one_hot("y"))
    given = channels_last(case["x_cfg"]), case["t_cfg"], one_hot("y_cfg")
    for dtype in ("float64", "float32"):
        found = np.moveaxis(evaluated(case, make, dtype, *given), -1, 1)
        with_class, without = np.split(found[:, :GUIDED], 2)
        guided = without + case["cfg_scale"] * (with_class - without)
        whole = np.concatenate([np.concatenate([guided] * 2), found[:, GUIDED:]], axis=1)
        yield close(case, "out_cfg", whole, dtype)
