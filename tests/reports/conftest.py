"""One device, where eight would only cost time."""

from tests.training.conftest import one_device

__all__ = ["one_device"]
