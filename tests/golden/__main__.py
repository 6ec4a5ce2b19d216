"""Holds the library against recorded cases: `python -m tests.golden DIR`.

    python -m tests.golden tests/golden/data
    python -m tests.golden DIR --only=edm/edm_sampler --verbose

Runs every case under DIR (one folder per reference, with an index.json), prints a table per
reference, and ends with a line `N agree, N deliberate, N uncovered, N differ`. The exit status is
0 only if every case agrees or is a deliberate difference, 1 if not, and 2 if there are no cases or
an index cannot be read.
"""

import argparse
import collections
import os
import sys
from pathlib import Path


def main(words: list[str]) -> int:
    """Runs the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        "python -m tests.golden",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="cases whose reference/family/name starts so")
    parser.add_argument("--verbose", action="store_true", help="a line for every case")
    options = parser.parse_args(words)

    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.abspath(".cache/jax"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    import jax

    from tests.golden.load import Damaged
    from tests.golden.report import print_table, print_total
    from tests.golden.run import run

    if not list(options.folder.glob("*/index.json")):
        print(f"No recorded cases in {options.folder}: it has no */index.json.", file=sys.stderr)
        return 2
    total: collections.Counter[str] = collections.Counter()
    try:
        with jax.enable_x64(True):
            for reference, outcomes in run(options.folder, options.only):
                print_table(reference, outcomes, options.verbose)
                total.update(found.status for found in outcomes.values())
    except Damaged as damaged:
        print(damaged, file=sys.stderr)
        return 2
    if not total:
        named = f" begins with {options.only!r}" if options.only else " is there"
        print(f"No case of {options.folder}{named}.", file=sys.stderr)
        return 2
    print_total(total)
    return 1 if total["differ"] or total["uncovered"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
