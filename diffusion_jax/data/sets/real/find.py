"""Where the raw files of a data set are, on this machine or on the web."""

from pathlib import Path

from diffusion_jax.data.sets.real.raw import Paths, RawSet
from diffusion_jax.errors import UserError

TIMEOUT = 20.0  # seconds to wait for a sign of life from a server


def find(raw: RawSet, data_dir: Path, manual_dir: Path | None) -> Paths | None:
    """The raw files on this machine, or None if they are to be downloaded and can be.

    Args:
        raw: the data set.
        data_dir: TFDS's folder of data sets; `downloads/manual` in it is looked into.
        manual_dir: the one folder to look into instead.

    Raises:
        UserError: the files are in none of the places, the web included.
    """
    folders = (manual_dir,) if manual_dir else (data_dir / "downloads" / "manual", *raw.folders)
    for folder in folders:
        if paths := raw.locate(folder):
            return paths
    missing = (
        f"{', '.join(file.name for file in raw.files)} not in {' or '.join(map(str, folders))}"
    )
    if manual_dir:
        raise UserError(
            f"Data set {raw.name!r}: {missing}. Put the files there, or leave out manual_dir "
            f"to download them; {raw.how}."
        )
    if problem := _unreachable(raw.files[0].url):
        raise UserError(
            f"Data set {raw.name!r}: not prepared in {data_dir}; {missing}; {raw.files[0].url} "
            f"cannot be reached ({problem}). Run once with internet, or put the files into "
            f"{folders[0]} or a folder of your own named by manual_dir; {raw.how}."
        )
    return None


def _unreachable(url: str) -> str | None:
    """What keeps us from an address; asked before a download, which retries for minutes."""
    import requests

    try:
        answer = requests.head(url, timeout=TIMEOUT, allow_redirects=True)
    except requests.RequestException as error:
        return type(error).__name__
    return f"HTTP status {answer.status_code}" if answer.status_code == 404 else None
