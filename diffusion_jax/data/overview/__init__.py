"""What a data set holds: sizes, captions, scripts, duplicates, damage."""

from diffusion_jax.data.overview.duplicates import Duplicates as Duplicates
from diffusion_jax.data.overview.duplicates import duplicates as duplicates
from diffusion_jax.data.overview.look import Overview as Overview
from diffusion_jax.data.overview.look import SideFacts as SideFacts
from diffusion_jax.data.overview.look import look_at as look_at
from diffusion_jax.data.overview.scripts import script_of as script_of
