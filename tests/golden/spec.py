"""Members of families with settings, as one writes them in a config."""

from typing import Any


def spec(name: str, **settings: Any) -> str:
    """A spec with settings."""
    written = ", ".join(f"{key}={value!r}".replace("'", "") for key, value in settings.items())
    return f"{name}({written})"
