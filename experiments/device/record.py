"""The file of figures: one device, one set of versions, a place for every section."""

import json
from pathlib import Path
from typing import Any

from diffusion_jax.errors import UserError
from diffusion_jax.files import save
from experiments.device.facts import difference
from experiments.device.section import Done, Failed, Figures

KIND = "diffusion_jax device figures"
SMALL = "small form on a CPU: tiny shapes, whose figures say nothing of any device"
FULL = "full form"

Record = dict[str, Any]


def read(path: Path) -> Record | None:
    """A file of before, or None if there is none.

    Raises:
        UserError: it is another file, or damaged.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["kind"] != KIND or not isinstance(found["sections"], dict):
            raise ValueError("another kind of file")
        if not all({"status"} <= own.keys() for own in found["sections"].values()):
            raise ValueError("a section without status")
        dict(found["device"])
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UserError(
            f"{path} is not a file of figures, or damaged: name another with --out."
        ) from None
    return dict(found)


def go_on(old: Record | None, device: Figures, path: Path) -> Record:
    """The file to fill: that of before, if it is of this device and these versions, or a new one.

    Raises:
        UserError: it is of another device or other versions.
    """
    small = device["backend"] == "cpu"
    if old is None:
        form = SMALL if small else FULL
        return {"kind": KIND, "form": form, "small": small, "device": device, "sections": {}}
    differs = difference(old["device"], device)
    if differs:
        raise UserError(f"{path} was measured with {differs}: name another file with --out.")
    return old | {"device": device}  # its source may have changed since


def is_settled(record: Record, name: str, again: bool) -> bool:
    """Whether a section needs no measuring: it was measured, or failed and is not tried again."""
    own = record["sections"].get(name, {"status": "missing"})
    return own["status"] == "done" or (own["status"] == "failed" and not again)


def note(record: Record, name: str, outcome: Done | Failed, seconds: float) -> None:
    """Puts into the record what came of a section, and of which source."""
    if isinstance(outcome, Done):
        own: Figures = {"status": "done", "figures": outcome.figures}
    else:
        own = {"status": "failed", "reason": outcome.reason}
    source = {"git": record["device"].get("git"), "took": round(seconds, 1)}
    record["sections"][name] = own | source


def write(record: Record, path: Path) -> None:
    """Writes the file, whole or not at all."""
    save(json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False) + "\n", path)


def figures(record: Record, prefix: str) -> dict[str, Figures]:
    """Section -> its figures, of those that were measured and whose names begin so."""
    return {
        name: own["figures"]
        for name, own in record["sections"].items()
        if own["status"] == "done" and name.startswith(prefix)
    }
