"""guided-diffusion's U-Nets and classifier."""

from typing import Any

import numpy as np

from diffusion_jax.networks.conditioners.base import Context
from diffusion_jax.networks.guided_diffusion.classifier import GuidedClassifier
from diffusion_jax.networks.guided_diffusion.guided_unet import GuidedUNet
from tests.golden import networks
from tests.golden.check import Comparisons, checks, known
from tests.golden.load import Case

# Settings whose names and meanings are the same there and here.
SETTINGS = (
    *("model_channels", "num_res_blocks", "attention_resolutions", "dropout", "channel_mult"),
    *("conv_resample", "num_heads", "num_head_channels", "num_heads_upsample"),
    *("use_scale_shift_norm", "resblock_updown", "use_new_attention_order", "pool"),
)


@checks("guided_diffusion", "net_unet")
def unet(case: Case) -> Comparisons:
    kwargs, x = case.kwargs, networks.channels_last(case["x"])
    kind = known("cls", case.extra["cls"], "UNetModel", "SuperResModel", "EncoderUNetModel")
    assert x.shape[-1] == kwargs["in_channels"]
    # The classifier alone knows a size, which its places have been given for.
    assert x.shape[1] == kwargs["image_size"]
    known("use_fp16", kwargs.get("use_fp16", False), False)
    known("dims", kwargs.get("dims", 2), 2)
    _ = kwargs.get("use_checkpoint")  # changes no number
    own = {name: kwargs[name] for name in SETTINGS if name in kwargs}
    own = {k: tuple(v) if isinstance(v, list) else v for k, v in own.items()}
    if kind == "EncoderUNetModel":
        yield from _classified(case, x, own)
        return
    outputs = kwargs["out_channels"] // kwargs["in_channels"]
    own |= {"super_resolution": kind == "SuperResModel", "outputs": outputs}
    given = x, case["t"], _context(case)
    yield from networks.outputs(case, lambda dtype: GuidedUNet(**own, dtype=dtype), *given)


def _context(case: Case) -> Context | None:
    """The class as a one-hot vector, and the smaller picture."""
    classes, low = case.kwargs.get("num_classes"), case.get("low_res")
    if classes is None and low is None:
        return None
    label = None if classes is None else np.eye(classes)[case["y"]]
    channels = None if low is None else networks.channels_last(low)
    return networks.context(label, channels=channels)


def _classified(case: Case, x: Any, own: dict[str, Any]) -> Comparisons:
    for dtype in networks.CLOSE:
        found = networks.evaluated(
            case,
            lambda dtype: GuidedClassifier(case.kwargs["out_channels"], **own, dtype=dtype),
            dtype,
            x,
            case["t"],
        )
        yield networks.close(case, "out", found, dtype)
