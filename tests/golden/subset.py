"""Picks what is committed out of a larger recording.

    python -m tests.golden.subset DIR tests/golden/data

Of every family it takes few cases that between them show every value of every setting, and of the
distribution that stood for the network; of each case, the arrays that its check looks at. Cases
that are large, or that the library does not cover, are left out.
"""

import json
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from tests.golden.load import FORMAT
from tests.golden.run import run

# Settings that say how many steps were taken, and no more.
COUNTS = ("N", "n", "num_inference_steps", "num_steps", "steps")
LARGE = 80_000  # bytes; of a family that has only such cases, the smallest is taken


def main(source: Path, target: Path) -> None:
    """Replaces the folders of `target` by subsets of those of `source`."""
    read_by_check: dict[tuple[str, str, str], set[str]] = {}
    with jax.enable_x64(True):
        for reference, outcomes in run(source):
            for case, found in outcomes.items():
                if found.status in ("agree", "deliberate"):
                    # The constants of the distributions are for other tests too.
                    everything = reference == "problems"
                    kept_arrays = set(case.stored[2]) if everything else case.read
                    read_by_check[reference, case.family, case.name] = kept_arrays
    for index in sorted(source.glob("*/index.json")):
        reference, recorded = index.parent.name, json.loads(index.read_text())
        cases = []
        for case in recorded["cases"]:
            if looked := read_by_check.get((reference, case["family"], case["id"])):
                arrays = {name: about for name, about in case["arrays"].items() if name in looked}
                cases.append(case | {"arrays": arrays})
        kept = [
            case
            for family in dict.fromkeys(case["family"] for case in cases)
            for case in cover(index.parent, [c for c in cases if c["family"] == family])
        ]
        used = {case["family"] for case in kept}
        families = {name: text for name, text in recorded["families"].items() if name in used}
        write(index.parent, target / reference, recorded | {"families": families}, kept)


def cover(folder: Path, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Cases that show every value that all of them show: greedily, the most values a byte."""
    limit = max(LARGE, min(size(folder, case) for case in cases))
    cases = [case for case in cases if size(folder, case) <= limit]
    shown = [set(values(case)) for case in cases]
    sizes = [size(folder, case) for case in cases]
    missing, kept = set().union(*shown), []
    while missing:
        best = max(range(len(cases)), key=lambda i: len(shown[i] & missing) / sizes[i])
        missing -= shown[best]
        kept.append(best)
    return [cases[i] for i in sorted(kept)]


def size(folder: Path, case: dict[str, Any]) -> int:
    """Bytes of a case's arrays as they are stored."""
    with zipfile.ZipFile(folder / case["file"]) as stored:
        return sum(
            stored.getinfo(f"{case['prefix']}{name}.npy").compress_size for name in case["arrays"]
        )


def values(case: dict[str, Any]) -> Iterator[str]:
    """Each setting of a case with its value, but for how many steps were taken."""
    own = {key: value for key, value in case.items() if key not in FORMAT}
    yield from _flat("", own | {"kwargs": case.get("kwargs") or {}, "problem": case.get("problem")})


def _flat(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            if key not in COUNTS:
                yield from _flat(f"{name}.{key}", inner)
    else:
        yield f"{name}={value}"


def write(source: Path, target: Path, index: dict[str, Any], cases: list[dict[str, Any]]) -> None:
    """Writes an index and, file by file, the arrays of the cases that are kept."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for file in sorted({case["file"] for case in cases}):
        with np.load(source / file) as stored:
            names = [c["prefix"] + name for c in cases if c["file"] == file for name in c["arrays"]]
            np.savez_compressed(target / file, **{name: stored[name] for name in names})
    about = json.dumps(index | {"cases": []}, indent=1).removesuffix("[]\n}")
    lines = ",\n".join(f"  {json.dumps(case)}" for case in cases)
    (target / "index.json").write_text(f"{about}[\n{lines}\n ]\n}}\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
