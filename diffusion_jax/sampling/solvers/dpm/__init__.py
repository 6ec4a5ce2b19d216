"""The DPM-Solver family: exponential integrators of the flow and of the reverse SDE.

Each file here is a member of the family of solvers, or a few that share their formulas.
"""

from diffusion_jax.registry import import_members

import_members(__name__, __path__)
