"""What tests of run folders share with those of training."""

from tests.training.conftest import config, one_device

__all__ = ["config", "one_device"]
