"""VDM's score network, whose parameters are flax's."""

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from diffusion_jax.networks.vdm.vdm_unet import VDMUNet
from tests.golden import networks
from tests.golden.check import Comparisons, checks, same
from tests.golden.load import Case

SETTINGS = ("with_fourier_features", "with_attention", "sm_n_embd", "sm_n_layer", "sm_pdrop")
# Of the rest of the model, which the network knows nothing of.
OTHERS = (
    *("vocab_size", "sample_softmax", "antithetic_time_sampling", "gamma_type"),
    "sm_n_timesteps",
)


@checks("vdm", "net_score_unet")
def score_unet(case: Case) -> Comparisons:
    _ = [case.kwargs[name] for name in OTHERS]
    network = VDMUNet(**{name: case.kwargs[name] for name in SETTINGS}, dtype="float64")
    low, high = case.kwargs["gamma_min"], case.kwargs["gamma_max"]
    # Its gamma is minus the log-SNR.
    c_noise = 1000 * (np.asarray(case["g_t"]) - low) / (high - low)
    stored = [name for name in case.stored[2] if name.startswith(networks.TENSORS)]
    flat = {name.removeprefix(networks.TENSORS): case[name].astype(float) for name in stored}
    params = flax.traverse_util.unflatten_dict(flat, sep="/")
    context = networks.context(case["conditioning"][:, None])
    given = jnp.asarray(case["z"]), jnp.asarray(c_noise), context
    found = jax.jit(network.apply)({"params": params}, *given)
    rms = float(np.sqrt(np.mean(case["eps_pred"] ** 2)))
    yield same("eps", found, case["eps_pred"], rtol=1e-9, atol=1e-9 * rms)
