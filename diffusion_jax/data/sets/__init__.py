"""The data sets that open by name.

Each file or package here is a member of the family, or a few that share their reading.
"""

from diffusion_jax.registry import import_members

import_members(__name__, __path__)
