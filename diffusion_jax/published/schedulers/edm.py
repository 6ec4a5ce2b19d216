"""diffusers' schedulers for networks on EDM's process, such as Playground's.

Their networks take x_0 + sigma eps for data of a standard deviation of their own, and are told
log(sigma)/4.
"""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64

from diffusion_jax.errors import UserError
from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import Prediction
from diffusion_jax.process.predictions.edm import EDMPrediction
from diffusion_jax.process.schedules.exploding import EDM
from diffusion_jax.published.schedulers.settings import Settings
from diffusion_jax.published.schedulers.spacing import spaced
from diffusion_jax.struct import Scalar, pytree

NAMES = ("EDMEulerScheduler", "EDMDPMSolverMultistepScheduler")
SPACINGS: Mapping[str, str] = {
    "karras": "karras(rho={rho!r}, sigma_min={{low!r}}, sigma_max={{high!r}})",
    "exponential": "log_snr(sigma_min={low!r}, sigma_max={high!r})",
}


@pytree
class NegatedEDM:
    """-F, which these schedulers call v.

    Attributes:
        sigma_data: standard deviation of the data.
    """

    sigma_data: Scalar

    def coefficients(self, level: Level) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        a, b = EDMPrediction(self.sigma_data).coefficients(level)
        return -jnp.asarray(a), -jnp.asarray(b)


def schedule(settings: Settings) -> EDM:
    """The process between its least and its largest sigma."""
    return EDM(float(settings["sigma_min"]), float(settings["sigma_max"]))


def prediction(settings: Settings) -> Prediction:
    """What the network predicts: F, or -F where it is called v."""
    kind = settings.one_of("prediction_type", ("epsilon", "v_prediction"))
    sigma_data = float(settings["sigma_data"])
    return EDMPrediction(sigma_data) if kind == "epsilon" else NegatedEDM(sigma_data)


def sigmas(settings: Settings, steps: int) -> Float64[np.ndarray, "nodes"]:
    """sigma at every node, (steps + 1,).

    Raises:
        UserError: a last step of no length, or one step of a list that begins at its other end.
    """
    name = settings.one_of("sigma_schedule", SPACINGS)
    if settings["final_sigmas_type"] != "zero":
        raise UserError(
            f"{settings.name}: final_sigmas_type={settings['final_sigmas_type']!r} cannot be "
            "honoured: its last step has no length."
        )
    if steps == 1 and name == "exponential":
        raise UserError(
            f"{settings.name}: one step with sigma_schedule='exponential' would begin at "
            "sigma_min: take two or more."
        )
    spec = SPACINGS[name]
    if name == "karras":
        spec = spec.format(rho=float(settings["rho"]))
    found = spaced(spec, settings["sigma_min"], settings["sigma_max"], steps)
    return np.append(found, 0.0)
