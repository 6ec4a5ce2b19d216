"""EDM2's U-Net, as it is, and with what makes it a denoiser that knows its own error."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from diffusion_jax.networks.edm2.edm2_unet import EDM2UNet
from diffusion_jax.networks.edm2.uncertainty import LogVariance
from diffusion_jax.process.per_sample import wide
from diffusion_jax.process.preconditionings import c_noise, input_scale
from diffusion_jax.process.predictions import EDM, to_x0
from tests.golden import networks
from tests.golden.check import Comparisons, checks, known
from tests.golden.edm_wrappers import exploding
from tests.golden.load import Case, Settings

# Settings whose names and meanings are the same there and here.
SETTINGS = (
    *("img_resolution", "label_dim", "model_channels", "channel_mult", "channel_mult_noise"),
    *("channel_mult_emb", "num_blocks", "attn_resolutions", "label_balance", "concat_balance"),
    *("res_balance", "attn_balance", "clip_act", "channels_per_head", "resample_filter", "dropout"),
)
NEAR = 4  # numbers in single precision to either side


def network(kwargs: Settings) -> Callable[[str], nn.Module]:
    """The network of a dtype."""
    given = {name: kwargs[name] for name in SETTINGS if name in kwargs}
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    return lambda dtype: EDM2UNet(**given, dtype=dtype)


@checks("edm2", "net_unet")
def unet(case: Case) -> Comparisons:
    kind = known("cls", case.extra["cls"], "UNet", "Precond")
    make, x = network(case.kwargs), networks.channels_last(case["x"])
    assert x.shape[-1] == case.kwargs["img_channels"]
    label = case.get("class_labels")
    context = None if label is None else networks.context(label)
    if kind == "UNet":
        single = networks.evaluated(case, make, "float32", x, case["noise_labels"], context)
        yield networks.close(case, "out", np.moveaxis(single, -1, 1), "float32")
        double = _in_double(case, make, x, context)
        yield networks.close(case, "out", np.moveaxis(double, -1, 1), "float64")
    else:
        yield from _wrapped(case, make, x, context)


def _in_double(case: Case, make: Callable[[str], nn.Module], x: Any, context: Any) -> np.ndarray:
    """The output at what the noise label was before it was recorded in single precision.

    It is ln(sigma)/4 of a sigma in single precision, of which a few have logarithms that round to
    what is recorded: that sigma is meant which gives the output.
    """
    label = np.asarray(case["noise_labels"], np.float32)
    sigma = np.exp(4 * label.astype(float)).astype(np.float32)
    near = np.arange(-NEAR, NEAR + 1)[:, None] * np.spacing(sigma) + sigma
    labels = np.log(near.astype(float)) / 4
    rounds = np.abs(labels.astype(np.float32) - label) <= np.spacing(np.abs(label))
    many = jax.tree.map(lambda rows: jnp.concatenate([rows] * len(near)), (x, context))
    found = networks.evaluated(case, make, "float64", many[0], labels.ravel(), many[1])
    found = found.reshape(len(near), *x.shape)
    off = np.abs(found - networks.channels_last(case["out_f64"])).max(axis=(2, 3, 4))
    best = np.where(rounds, off, np.inf).argmin(axis=0)
    return found[best, np.arange(len(best))]


def _wrapped(case: Case, make: Callable[[str], nn.Module], x: Any, context: Any) -> Comparisons:
    sigma_data = case.kwargs.get("sigma_data", 0.5)
    head = LogVariance(case.kwargs.get("logvar_channels", 128))
    level = exploding(case["sigma"])
    label = jax.jit(c_noise)(level)
    given = wide(input_scale(level, sigma_data), x) * x, label, context
    for dtype in networks.CLOSE:
        output = networks.evaluated(case, make, dtype, *given, prefix="unet.")
        found = jax.jit(to_x0)(jnp.asarray(output, float), x, level, EDM(sigma_data))
        yield networks.close(case, "out", np.moveaxis(found, -1, 1), dtype)
        params = networks.parameters(case, head, label.astype(dtype), only="logvar_")
        told = jax.jit(head.apply)({"params": params}, label.astype(dtype))
        yield networks.close(case, "out_logvar", told[:, None, None, None], dtype)
