"""The data set of a run as its config names it, and what in it tells one training from another."""

import dataclasses
from typing import Any

from diffusion_jax.errors import UserError
from diffusion_jax.registry import Spec, canonical, parse, spec_text

MEMORY = "memory"  # where examples are kept; what is trained on is told by the fingerprint
KEPT = {"latents": ("folder", "batch_size")}  # settings of the same kind, of one data set alone


def with_split(data: str, split: str) -> str:
    """The spec of a data set which says how a folder is split, where it did not say.

    Folders were split by captions in runs that have no fingerprint of their data.

    >>> with_split("folder(path='a')", "captions"), with_split("mnist()", "captions")
    ("folder(path='a', split='captions')", 'mnist()')
    """
    spec = parse(data, "data set")
    if spec.name != "folder" or "split" in spec.settings:
        return data
    return f"{data.rstrip().removesuffix(')').rstrip().removesuffix(',')}, split={split!r})"


def same(field: str, old: Any, new: Any) -> bool:
    """Whether two values of a config's field mean the same training.

    Where a data set is kept does not count: the fingerprint tells what is trained on.

    >>> same("data", "folder(path='a')", "folder(path='a', memory=True)"), same("seed", 0, 1)
    (True, False)
    >>> same("data", "latents(data=mnist, folder='a')", "latents(data=mnist(), folder='b')")
    True
    """
    if field == "data":
        old, new = _without_memory(old), _without_memory(new)
    return bool(canonical(old) == canonical(new))


def _without_memory(data: Any) -> Any:
    try:
        spec = parse(data, "data set")
    except UserError:  # data that were given from Python, by their name
        return data
    return spec_text(_told_apart(spec))


def _told_apart(spec: Spec) -> Spec:
    """A spec without what says where examples are kept; so are those within it."""
    aside = (MEMORY, *KEPT.get(spec.name, ()))
    settings = {
        name: _told_apart(value) if isinstance(value, Spec) else value
        for name, value in spec.settings.items()
        if name not in aside
    }
    return dataclasses.replace(spec, settings=settings)


def memory_advice(data: Any) -> str:
    """What to try where the examples of a run are others than before; "" if nothing is known.

    Pictures that are kept are split, ordered and told apart by what they show, others by what is
    known of their files.

    >>> memory_advice("mnist()")
    ''
    """
    try:
        spec = parse(data, "data set")
    except UserError:
        return ""
    if spec.name not in ("folder", "tfds"):
        return ""
    here = spec.settings.get(MEMORY)
    if here is None:
        return (
            f" {spec.name} keeps up to 4 GiB of pictures in memory, and splits and knows others by "
            "their files alone: if the run kept more, as all did once, go on with memory=True in "
            "config.data, and if it kept none, with memory=False."
        )
    return f" If nothing has, it was made with memory={not here} in config.data: go on with that."
