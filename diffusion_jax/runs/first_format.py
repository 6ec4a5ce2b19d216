"""Reads checkpoints of format 1: every array of a state was written by itself."""

import json
import zlib
from collections.abc import Mapping
from typing import Any

import jax
from jaxtyping import PyTree

from diffusion_jax.runs.fingerprints import fingerprint
from diffusion_jax.runs.state import TrainState
from diffusion_jax.sealed import Damaged

CHECKSUM = "crc"  # of the document, in it


def intact(document: dict[str, Any]) -> bool:
    """Whether a document is as it was written."""
    own = {key: value for key, value in document.items() if key != CHECKSUM}
    return bool(document[CHECKSUM] == zlib.crc32(json.dumps(own, sort_keys=True).encode()))


def as_saved(states: Mapping[str, TrainState]) -> dict[str, dict[str, Any]]:
    """The fields of each state that it has: a file tells a missing one from one that is None."""
    return {
        arm: {name: value for name, value in vars(state).items() if value is not None}
        for arm, state in states.items()
    }


def from_saved(found: dict[str, PyTree[Any]], document: dict[str, Any]) -> dict[str, TrainState]:
    """The states.

    Raises:
        Damaged: their numbers are not those that were written.
    """
    states = {arm: TrainState(**fields) for arm, fields in found.items()}
    for arm, state in states.items():
        if int(_fingerprint(state)) != document["fingerprints"][arm]:
            raise Damaged(f"the numbers of arm {arm!r} have been altered")
    return states


_fingerprint = jax.jit(fingerprint)
