"""Assembles the data set `emoji` from packages of npm: some 14,000 captioned pictures.

    python -m experiments.emoji --out=data/emoji
    python -m experiments.emoji --out=data/emoji --packages=FOLDER

`npm pack` fetches the packages, some 250 MB, unless they are in FOLDER already. All pictures are
licensed permissively; each record says its licence. Needs `npm`, and `pip install resvg-py` to
render one of the four sets.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from diffusion_jax.data.sets.emoji.assemble import (
    NAMES,
    NAMES_VERSION,
    PACKAGES,
    archive_name,
    assemble,
)
from diffusion_jax.errors import UserError
from diffusion_jax.files import user_path
from experiments import plain


def main(words: list[str]) -> None:
    """Fetches what is missing, and writes the tar files."""
    parser = plain.Parser("emoji", __doc__)
    parser.add_argument("--out", required=True, help="folder for the data set")
    parser.add_argument("--packages", default="", help="folder of packages; missing ones go there")
    options = parser.parse_args(words)
    out = user_path(options.out)
    with tempfile.TemporaryDirectory() as temporary:
        packages = user_path(options.packages or temporary)
        versions = {name: of.version for name, of in PACKAGES.items()} | {NAMES: NAMES_VERSION}
        for name, version in versions.items():
            if not (packages / archive_name(name, version)).is_file():
                print(f"Fetching {name} {version}", flush=True)
                fetch(name, version, packages)
        train, test = assemble(packages, out)
    print(f"Wrote {train:,} pictures to train on and {test:,} to test with to {out}.")
    print(f"--config.data=\"emoji(path='{out}', size=32)\"")


def fetch(name: str, version: str, folder: Path) -> None:
    """Lets npm fetch a package.

    Raises:
        UserError: there is no npm, or it could not.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(
            "There is no npm to fetch packages with: install it, or give a folder that has them, "
            f"such as {archive_name(name, version)}, with --packages."
        )
    folder.mkdir(parents=True, exist_ok=True)
    ran = subprocess.run(
        [npm, "pack", f"{name}@{version}"], cwd=folder, capture_output=True, text=True
    )
    if ran.returncode:
        reason = (ran.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"npm could not fetch {name}@{version}: {reason[:200]}.")


if __name__ == "__main__":
    plain.run(main)
