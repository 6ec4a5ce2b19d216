"""Sweeps: many arms × training seeds, trained in groups, measured alike, compared in pairs.

`axes` describes what differs, `plan` turns it into units of work in a run folder, `work` does them
(one process or several, stopped and started at any time), `results` reads what came out.
"""

from diffusion_jax.sweeps.axes import Choice, axis, choice, listed, product, zipped
from diffusion_jax.sweeps.sweep import Sweep

__all__ = ["Choice", "Sweep", "axis", "choice", "listed", "product", "zipped"]
