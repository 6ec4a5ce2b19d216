"""Captioned pictures as they lie on disk, one record each, and the data sets made of them."""

from diffusion_jax.data.records.captioned import captioned as captioned
from diffusion_jax.data.records.files import PictureFile as PictureFile
from diffusion_jax.data.records.files import PictureFiles as PictureFiles
from diffusion_jax.data.records.record import PictureRecord as PictureRecord
from diffusion_jax.data.records.record import Records as Records
from diffusion_jax.data.records.source import RecordSource as RecordSource
