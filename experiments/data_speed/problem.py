"""What both libraries read: tar files of captioned JPEGs of 512 pixels, made here.

Needs NumPy and Pillow alone.
"""

import io
import tarfile
from pathlib import Path

import numpy as np

EDGE = 512  # of the JPEGs
SHARDS, PER_SHARD = 4, 250
BATCH = 50
SIZES = (64, 256)
WORKERS = 2
MOTIFS = 40  # different pictures, each saved under many names


def write(folder: Path, shards: int = SHARDS) -> list[Path]:
    """Writes the tar files; their pictures are as busy as photographs are, 60 kB each."""
    motifs = [_photograph(number) for number in range(MOTIFS)]
    paths = []
    for shard in range(shards):
        paths.append(folder / f"{shard:03d}.tar")
        with tarfile.open(paths[-1], "w") as tar:
            for number in range(PER_SHARD):
                key = f"{shard:03d}{number:06d}"
                for name, content in (
                    (f"{key}.jpg", motifs[number % MOTIFS]),
                    (f"{key}.txt", f"photograph {number}".encode()),
                ):
                    member = tarfile.TarInfo(name)
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    return paths


def _photograph(number: int) -> bytes:
    """Noise whose power falls with the square of the frequency, as that of photographs does."""
    from PIL import Image

    random = np.random.default_rng(number)
    across = np.fft.rfftfreq(EDGE)[None, :] ** 2 + np.fft.fftfreq(EDGE)[:, None] ** 2
    across[0, 0] = 1
    layers = []
    for _ in range(3):
        waves = np.fft.rfft2(random.normal(size=(EDGE, EDGE))) / np.sqrt(across)
        waves[0, 0] = 0
        field = np.fft.irfft2(waves, (EDGE, EDGE))
        layers.append(128 + 50 * field / field.std())
    picture = np.clip(np.stack(layers, -1), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=85)
    return file.getvalue()
