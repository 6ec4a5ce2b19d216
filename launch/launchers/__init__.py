"""Launchers, one file each: places to run a job. Importing this package registers them all."""

from diffusion_jax.registry import Registry, import_members
from launch.launchers.base import Job, Launcher, Placement

launchers: Registry[Launcher] = Registry("launcher")

import_members(__name__, __path__, launchers)

__all__ = ["Job", "Launcher", "Placement", "launchers"]
