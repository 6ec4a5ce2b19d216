"""The order in which a config was written, which a ConfigDict keeps and does not show."""

from collections.abc import Iterator
from typing import Any

from ml_collections import ConfigDict


def written(config: ConfigDict) -> Iterator[tuple[Any, Any]]:
    """Names and values of a config in the order in which they were written.

    Iterating over a ConfigDict sorts, and so do its own copies as dict or text.

    >>> list(written(ConfigDict({"b": 1, "a": 2})))
    [('b', 1), ('a', 2)]
    """
    for name in vars(config)["_fields"]:
        yield name, config[name]


def as_dict(config: ConfigDict) -> dict[Any, Any]:
    """A config as nested dicts, in the order in which it was written.

    >>> as_dict(ConfigDict({"arms": {"b": {}, "a": {}}}))
    {'arms': {'b': {}, 'a': {}}}
    """
    return {
        name: as_dict(value) if isinstance(value, ConfigDict) else value
        for name, value in written(config)
    }
