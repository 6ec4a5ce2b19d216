"""Noise schedules: time to noise level, and back from log-SNR to time.

Each file here is a member of the family, or a few that lie on one curve.
"""

from typing import TYPE_CHECKING, Any

from diffusion_jax.process.schedules.base import Learnable, Schedule, log_snr_range, rate, schedules
from diffusion_jax.registry import import_members

__all__ = ["Learnable", "Schedule", "log_snr_range", "rate", "schedules"]

import_members(__name__, __path__, schedules)

if TYPE_CHECKING:  # what else import_members puts here

    def __getattr__(name: str) -> Any: ...
