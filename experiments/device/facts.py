"""The device, and the versions of all that runs on it."""

import importlib.metadata

import jax

from diffusion_jax.runs import environment
from experiments.device import memory
from experiments.device.section import Figures

BESIDE = ("torch", "triton", "jax-cuda12-plugin", "jax-cuda13-plugin", "libtpu")
SAME = ("backend", "device_kind", "devices", "processor", "versions")  # for one file


def measure(small: bool) -> Figures:
    """What the figures of a file depend on."""
    del small
    about = environment.describe()
    return {
        **about["hardware"],
        "versions": about["versions"] | _beside(),
        "git": about["git"],
        "memory_limit": memory.statistic("bytes_limit"),
        "platform_version": jax.devices()[0].client.platform_version.splitlines()[0],
    }


def _beside() -> dict[str, str]:
    found = {}
    for package in BESIDE:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def difference(old: Figures, new: Figures) -> str:
    """In what the devices or versions of two files differ, in words; "" if in nothing."""
    for name in SAME:
        if old.get(name) != new.get(name):
            return f"{name} {_shown(old.get(name))}, and here it is {_shown(new.get(name))}"
    return ""


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {version}" for name, version in value.items())
    return str(value)
