"""What training tests share: a tiny config, and one device where eight would only cost time."""

from pathlib import Path

import jax
import pytest
from ml_collections import ConfigDict

from diffusion_jax.parallel import devices
from tests.training import points, points_config

__all__ = ["points"]


@pytest.fixture
def config(tmp_path: Path) -> ConfigDict:
    """Two arms on vectors, without captions, in a folder of its own."""
    config = points_config.get_config()
    config.conditioner = "none"
    config.run_dir = str(tmp_path / "run")
    return config


@pytest.fixture
def one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trains on the first of the eight devices only."""
    on_one_device(monkeypatch)


def on_one_device(patch: pytest.MonkeyPatch) -> None:
    """As the fixture `one_device`, for fixtures of a whole module."""
    whole = devices.data_mesh
    patch.setattr(devices, "data_mesh", lambda d=None: whole(d or jax.devices()[:1]))
