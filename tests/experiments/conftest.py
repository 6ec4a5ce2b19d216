"""Libraries that define flags are imported before a test saves and restores those there are."""

import grain  # noqa: F401

from tests.training.conftest import one_device

__all__ = ["one_device"]
