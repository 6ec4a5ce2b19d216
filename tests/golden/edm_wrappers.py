"""What EDM's code puts around a network: scales, and the number that tells it the noise level."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from diffusion_jax.process.level import Level
from diffusion_jax.process.preconditionings import Preconditioning, preconditionings
from diffusion_jax.process.predictions import Prediction, predictions
from diffusion_jax.process.schedules import Schedule, schedules
from tests.golden.check import Known
from tests.golden.load import Settings
from tests.golden.replay import at_times

VP = "vp_linear(beta_min={beta_min}, beta_max={beta_max})"
TABLE = "ddpm_cosine(steps={M}, offset={C_2}, largest_beta={beta})"
# By EDM's names: the schedule, what the network predicts, and what it sees.
SPECS = {
    "VPPrecond": (VP, "epsilon", f"time(clock={VP}, scale={{last}})"),
    "VEPrecond": ("ve_sqrt", "scaled_score", "ve"),
    "iDDPMPrecond": (TABLE, "epsilon", f"time(clock={TABLE})"),
    "EDMPrecond": ("edm", "edm(sigma_data={sigma_data})", "edm"),
}
WRAPPERS = Known("cls", SPECS)


@dataclasses.dataclass(frozen=True)
class Wrapper:
    """What one of them makes of a network's levels and outputs.

    Attributes:
        schedule: whose levels its network was trained on.
        prediction: what its network predicts.
        preconditioning: what its network sees.
        count: steps of its table, None where it has none.
        sigma_data: standard deviation of the data.
    """

    schedule: Schedule
    prediction: Prediction
    preconditioning: Preconditioning
    count: int | None
    sigma_data: float

    def input_scale(self, level: Level) -> Array:
        """c_in."""
        return jax.jit(self.preconditioning.input_scale)(level, self.sigma_data)

    def c_noise(self, level: Level, table: np.ndarray | None = None) -> np.ndarray:
        """What tells the network the level.

        Args:
            level: at alpha = 1, (batch,).
            table: of sigmas, among which the nearest is looked for where there is one; None is
                the exact one.
        """
        if self.count is None:
            return np.asarray(jax.jit(self.preconditioning.c_noise)(level))
        table = self.table() if table is None else table
        # Labels count from the clean end; sigma = 0 is at -1.
        distance = np.abs(np.asarray(level.sigma)[:, None] - table)
        return self.count - 1.0 - distance.argmin(axis=1)

    def table(self) -> np.ndarray:
        """sigma/alpha of improved DDPM's steps, noisiest first, and then 0."""
        assert self.count is not None
        level = at_times(self.schedule, np.arange(self.count, 0, -1) / self.count).level
        return np.append(level.sigma / level.alpha, 0.0)


def wrapper(kind: str, kwargs: Settings) -> Wrapper:
    """The preconditioning that EDM calls so, with the settings that it was given."""
    settings = {
        "beta_min": kwargs.get("beta_min", 0.1),
        "beta_max": kwargs.get("beta_min", 0.1) + kwargs.get("beta_d", 19.9),
        "M": kwargs.get("M", 1000),
        "C_2": kwargs.get("C_2", 0.008),
        "beta": 1 - kwargs.get("C_1", 0.001),
        "sigma_data": kwargs.get("sigma_data", 0.5),
    }
    specs = (text.format(**settings, last=settings["M"] - 1) for text in WRAPPERS[kind])
    families = schedules, predictions, preconditionings
    made = (family.make(spec) for family, spec in zip(families, specs, strict=True))
    count = settings["M"] if kind == "iDDPMPrecond" else None
    return Wrapper(*made, count, settings["sigma_data"] if kind == "EDMPrecond" else 1.0)


def exploding(sigma: np.ndarray) -> Level:
    """The level of x_0 + sigma eps."""
    return Level(jnp.asarray(np.ones(len(sigma))), jnp.asarray(np.asarray(sigma, float)))
