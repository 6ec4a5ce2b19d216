"""Files of pictures as arrays of 8 bits a channel, of the size that is wanted."""

from diffusion_jax.data.pictures.files import load_pictures as load_pictures
from diffusion_jax.data.pictures.files import read_pictures as read_pictures
from diffusion_jax.data.pictures.fit import MODES as MODES
from diffusion_jax.data.pictures.fit import Size as Size
from diffusion_jax.data.pictures.fit import cut_out as cut_out
from diffusion_jax.data.pictures.fit import fitted as fitted
