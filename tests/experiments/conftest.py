"""Libraries that define flags are imported before a test saves and restores those there are."""

import grain  # noqa: F401
