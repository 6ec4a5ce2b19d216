"""PyTorch's half: its DataLoader over webdataset, with Pillow, as both projects' guides have it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import webdataset
from PIL import Image, ImageOps

from experiments.data_speed.problem import BATCH, PER_SHARD, SHARDS


def loader(folder: Path, size: int, workers: int) -> Callable[[], np.ndarray]:
    """A function that reads as many pictures as there are, in batches; their mean colour."""

    def transform(picture: Any) -> np.ndarray:
        resized = ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS)
        return np.asarray(resized, np.float32).transpose(2, 0, 1) / 127.5 - 1

    urls = [str(path) for path in sorted(folder.glob("*.tar"))]
    pipeline = (
        webdataset.WebDataset(urls, resampled=True, shardshuffle=False)
        .shuffle(200)
        .decode("pil")
        .to_tuple("jpg", "txt")
        .map_tuple(transform, lambda text: text)
        .batched(BATCH)
    )
    found = iter(torch.utils.data.DataLoader(pipeline, batch_size=None, num_workers=workers))

    def run() -> np.ndarray:
        taken = [next(found)[0] for _ in range(SHARDS * PER_SHARD // BATCH)]
        return np.mean([np.asarray(each).mean((0, 2, 3)) for each in taken], 0)

    return run
