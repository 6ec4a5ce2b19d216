"""What a run depends on besides its config: code, versions, hardware."""

import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax

PACKAGES = ("diffusion_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")


def describe() -> dict[str, Any]:
    """Versions, git revision and hardware, JSON-able.

    >>> sorted(describe())
    ['git', 'hardware', 'versions']
    """
    return {"versions": _versions(), "git": _git(), "hardware": _hardware()}


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # run from a source tree, without having been installed
    return versions


def _git() -> dict[str, Any] | None:
    """Revision of the source tree, and whether it has changes; None if it is not under git."""
    package = Path(__file__).parents[1]
    # An installed copy may lie inside somebody else's repository.
    if _run_git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    revision = _run_git(package, "rev-parse", "HEAD")
    return {"revision": revision, "modified": bool(_run_git(package, "status", "--porcelain"))}


def _run_git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _hardware() -> dict[str, Any]:
    devices = jax.devices()
    return {
        "devices": len(devices),
        "device_kind": devices[0].device_kind,
        "backend": jax.default_backend(),
        "processes": jax.process_count(),
        "processor": _processor(),
        "platform": f"{sys.platform}-{platform.machine()}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor()
