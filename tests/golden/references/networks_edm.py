"""EDM's networks, and what stands between a network and a denoiser.

D(x, sigma) = c_skip x + c_out F(c_in x; c_noise). c_skip and c_out are those of a prediction at a
level; only c_noise, what tells F the level, is of the wrapper alone.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from diffusion_jax.networks.edm import DhariwalUNet, SongUNet
from diffusion_jax.process.per_sample import wide
from diffusion_jax.process.predictions import to_x0
from tests.golden import networks
from tests.golden.check import Comparisons, Known, checks
from tests.golden.edm_wrappers import exploding, wrapper
from tests.golden.load import Case, Settings

KINDS = Known("network", {"SongUNet": SongUNet, "DhariwalUNet": DhariwalUNet})
# Settings whose names and meanings are the same there and here.
SETTINGS = (
    *("img_resolution", "label_dim", "augment_dim", "model_channels", "channel_mult"),
    *("channel_mult_emb", "num_blocks", "attn_resolutions", "dropout", "embedding_type"),
    *("channel_mult_noise", "encoder_type", "decoder_type", "resample_filter"),
)


def network(kind: type[nn.Module], kwargs: Settings, outputs: int) -> Callable[[str], nn.Module]:
    """The network of a dtype."""
    given = {name: kwargs[name] for name in SETTINGS if name in kwargs}
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    return lambda dtype: kind(**given, outputs=outputs, dtype=dtype)


def context(case: Case) -> Any:
    """The class and the augmentation, where there are any."""
    label, augmentation = case.get("class_labels"), case.get("augment_labels")
    if label is None and augmentation is None:
        return None
    return networks.context(label, numbers=augmentation)


@checks("edm", "net_songunet", "net_dhariwal")
def raw(case: Case) -> Comparisons:
    channels = case.kwargs["in_channels"], case.kwargs["out_channels"]
    make = network(KINDS[case.extra["cls"]], case.kwargs, channels[1] // channels[0])
    x = networks.channels_last(case["x"])
    yield from networks.outputs(case, make, x, case["noise_labels"], context(case))


@checks("edm", "net_precond")
def wrapped(case: Case) -> Comparisons:
    kind, kwargs, channels = case.extra["cls"], case.kwargs, case.kwargs["img_channels"]
    own, level = wrapper(kind, kwargs), exploding(case["sigma"])
    # That of improved DDPM tells a variance, which is dropped.
    outputs = 2 if kind == "iDDPMPrecond" else 1
    make = network(KINDS[kwargs["model_type"]], kwargs, outputs)
    x = networks.channels_last(case["x"])
    # Theirs is off by up to 5e-4 in single precision, which decides what is nearest.
    label = own.c_noise(level, case.get("sd/u"))
    given = wide(own.input_scale(level), x) * x, label, context(case)
    for dtype in networks.CLOSE:
        output = networks.evaluated(case, make, dtype, *given, prefix="model.")
        output = jnp.asarray(output[..., :channels], x.dtype)
        found = np.moveaxis(jax.jit(to_x0)(output, x, level, own.prediction), -1, 1)
        yield networks.close(case, "out", found, dtype)
