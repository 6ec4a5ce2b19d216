"""Noise schedules: time to noise level, and back from log-SNR to time."""

from diffusion_jax.process.schedules import exploding, flow, preserving, shift, table
from diffusion_jax.process.schedules.base import Schedule, log_snr_range, rate, schedules

__all__ = [
    "Schedule",
    "exploding",
    "flow",
    "log_snr_range",
    "preserving",
    "rate",
    "schedules",
    "shift",
    "table",
]
