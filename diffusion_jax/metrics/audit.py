"""Looks for copies of training pictures among generated ones: see `metrics.copying` for how."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.example import take, values_of
from diffusion_jax.errors import UserError
from diffusion_jax.metrics.base import unseen
from diffusion_jax.metrics.closest import Closest, Sought, closest
from diffusion_jax.metrics.copying import Audited, CopyAudit, Generated, InSpace
from diffusion_jax.metrics.duplicates import TrainingDuplicates, find
from diffusion_jax.metrics.features import BlockMeans, FeatureMap, RandomConvolutions
from diffusion_jax.metrics.features.block_means import BYTE
from diffusion_jax.runs.progress import Progress

PIXELS, FEATURES = "pixels", "features"
CONVOLUTIONS = RandomConvolutions()
FEWEST = 3  # different training pictures
NAMES = {True: "different training pictures", False: "held-out pictures"}


@dataclasses.dataclass(frozen=True)
class CopyTest:
    """How copies are told from other pictures.

    Attributes:
        features: a space beside that of the pixels, which are averaged to 32 × 32 blocks where
            there are more.
        k: different training pictures that a ratio looks at, or as many as there are but one.
        alarm: the share of pictures like the real ones that may be called copies.
        real: how many real pictures thresholds are taken from, at most.
        seed: of which these are.

    Raises:
        UserError: a number makes no sense.
    """

    features: FeatureMap = CONVOLUTIONS
    k: int = 50
    alarm: float = 0.02
    real: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.k < 2 or self.real < 1:
            raise UserError(
                f"k={self.k} training pictures, {self.real} real ones: give 2, and 1, or more."
            )
        if not 0 < self.alarm <= 0.5:
            raise UserError(f"A rate of false alarms is above 0, at most 0.5, not {self.alarm}.")

    @property
    def spaces(self) -> Mapping[str, FeatureMap]:
        """In which distances are taken."""
        return {PIXELS: BlockMeans(), FEATURES: self.features}

    def rank(self, count: int, what: str) -> int:
        """The rank of the threshold among the ratios of so many real pictures.

        Raises:
            UserError: they are too few.
        """
        spaces = len(self.spaces)
        rank = math.floor(self.alarm * (count + 1) / spaces + 1e-9)
        if not rank:
            least, rate = math.ceil(spaces / self.alarm - 1e-9) - 1, spaces / (count + 1)
            cure = f"; with {count}, {rate:.3g} is the least" if rate <= 0.5 else ""
            raise UserError(
                f"A rate of false alarms of {self.alarm:g} takes {least} {what}, and there are "
                f"{count}{cure}."
            )
        return rank


def check(data: Dataset, test: CopyTest) -> None:
    """Refuses, before anything is drawn, what cannot be audited.

    Args:
        data: of pictures, `Dataset.visible` where it is of latents.
        test: how copies are told.

    Raises:
        UserError: the data are no pictures, or there are too few held-out ones.
    """
    if not data.has_pictures:
        raise UserError(f"An audit compares pictures, and data set {data.name!r} has {data.form}.")
    if nothing := unseen(test.features, data):
        raise UserError(f"Data set {data.name!r}: {nothing}.")
    test.rank(min(len(data.test), test.real), NAMES[False])


def audit(
    generated: Sequence[Generated],
    data: Dataset,
    test: CopyTest | None = None,
    progress: Progress | None = None,
) -> CopyAudit:
    """Looks for copies of training pictures among generated ones.

    Training pictures are read in chunks, so that memory is that of the generated pictures, the
    real ones, their features, and some three kilobytes for each training picture.

    Args:
        generated: pictures for each kind of prompts, of the shape of the data.
        data: what the model was trained on, with test pictures that it was not trained on; of
            latents, the pictures that they are of.
        test: how copies are told; None for the default.
        progress: shows how far it is; None for nothing.

    Raises:
        UserError: see `check`; or training pictures are all alike, or generated ones of another
            shape.
    """
    test = CopyTest() if test is None else test
    check(data, test)
    for each in generated:
        if each.pictures.shape[1:] != data.shape or not len(each.pictures):
            raise UserError(
                f"Generated pictures have shape {each.pictures.shape}, and those of data set "
                f"{data.name!r} {data.shape}."
            )
    progress = progress or Progress(quiet=True)
    with progress.phase("Duplicates in training", len(data.train), unit="pictures") as advance:
        duplicates = find(data, advance)
    there = len(duplicates.groups)
    if there < FEWEST:
        raise UserError(
            f"A copy is told by how far other pictures are: data set {data.name!r} has {there} "
            f"different training pictures, and {FEWEST} are needed."
        )
    left_out = [each.as_trained and bool(data.held_out_captions) for each in generated]
    real = {kind: _real(data, test, duplicates, kind) for kind in dict.fromkeys(left_out)}
    ranks = {kind: test.rank(len(each.pictures), NAMES[kind]) for kind, each in real.items()}
    spaces = {name: each.fit(data) for name, each in test.spaces.items()}
    sought = [*real.values(), *(Sought(each.pictures) for each in generated)]
    k = min(test.k, there - 1)
    unique = len(duplicates.unique)
    with progress.phase("Nearest training pictures", unique, unit="pictures") as advance:
        found = closest(sought, data, duplicates, spaces, k, advance)
    judges = dict(zip(real, found, strict=False))
    audited = tuple(
        _audited(each, kind, drawn, judges[kind], ranks[kind], data)
        for each, kind, drawn in zip(generated, left_out, found[len(real) :], strict=True)
    )
    return CopyAudit(data, duplicates, k, test.alarm, audited)


def _real(data: Dataset, test: CopyTest, duplicates: TrainingDuplicates, left_out: bool) -> Sought:
    """Real pictures to judge by: held-out ones, or training pictures, each left out in its turn."""
    source = data.train if left_out else data.test
    rows = np.unique(duplicates.first) if left_out else np.arange(len(data.test))
    count = min(len(rows), test.real)
    rows = np.sort(np.random.default_rng(test.seed).choice(rows, count, replace=False))
    return Sought(values_of(take(source, rows.tolist())), rows if left_out else None)


def _audited(
    generated: Generated,
    left_out: bool,
    drawn: Mapping[str, Closest],
    real: Mapping[str, Closest],
    rank: int,
    data: Dataset,
) -> Audited:
    scale = BYTE / math.prod(data.shape) ** 0.5
    off, real_off = (scale * each[PIXELS].distance[:, 0] for each in (drawn, real))
    spaces = {name: InSpace(drawn[name], real[name], rank) for name in drawn}
    return Audited(generated, spaces, left_out, off, real_off)
