"""Pictures on the page: sample cards, pictures of the data, and the films behind the slider."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, UInt8

from diffusion_jax.inference.trajectory import Trajectory
from diffusion_jax.reports import formats, pictures
from diffusion_jax.reports.content import RealPictures, Report, ReportArm, Samples

MOST_CARDS = 48
FILM_BYTES = 4_000_000


@dataclasses.dataclass(frozen=True)
class Shown:
    """One sample on the page.

    Attributes:
        arm: index of its arm.
        source: the picture as a data address.
        mark: "right", "wrong", or "" where nothing was checked.
        wrong: the attributes that are wrong, as words.
        alt: what it is, for those who cannot see it.
    """

    arm: int
    source: str
    mark: str
    wrong: str
    alt: str


@dataclasses.dataclass(frozen=True)
class Card:
    """A caption with the picture of every arm; `mixed` if some arms are right and some not.

    `beside` has (name, data address) of pictures that are no arm's.
    """

    caption: str
    pictures: tuple[Shown, ...]
    mixed: bool
    beside: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class Film:
    """The reverse process of one arm on the page.

    Attributes:
        arm: index of the arm.
        name: the arm's name.
        reel: what the page's script needs: sizes, log-SNR per frame as text, and two contact
            sheets (x_t and the estimate of x_0) with a row per frame and a column per sample.
    """

    arm: int
    name: str
    reel: dict[str, object]


def cards(arms: Sequence[ReportArm], samples: Samples | None, most: int = MOST_CARDS) -> list[Card]:
    """One card per caption, at most so many."""
    count = min(len(samples.captions), most) if samples else 0
    return [_card(arms, samples, index) for index in range(count) if samples]


def real(data: RealPictures | None) -> list[tuple[str, str]]:
    """(data address, caption) of each picture of the data."""
    pairs = zip(data.pictures, data.captions, strict=True) if data else ()
    return [(address(picture), caption) for picture, caption in pairs]


def films(report: Report) -> list[Film]:
    """The film of every arm that has a trajectory.

    Frames are left out evenly, keeping the first and the last, where all films together would
    take more than about `FILM_BYTES`.
    """
    reels = [(i, arm.name, arm.trajectory) for i, arm in enumerate(report.arms) if arm.trajectory]
    budget = FILM_BYTES // max(len(reels), 1)
    return [film(index, name, trajectory, budget) for index, name, trajectory in reels]


def film(index: int, name: str, trajectory: Trajectory, budget: int = FILM_BYTES) -> Film:
    """The film of one arm, in about `budget` bytes at most."""
    # Noise hardly compresses, and base64 adds a third.
    return Film(index, name, _reel(trajectory.thinned(budget * 3 / 4)))


def _card(arms: Sequence[ReportArm], samples: Samples, index: int) -> Card:
    caption = samples.captions[index]
    shown = [
        _shown(number, arm.name, caption, samples.pictures[arm.name][index], wrong)
        for number, arm in enumerate(arms)
        if arm.name in samples.pictures and index not in samples.missing.get(arm.name, ())
        for wrong in [_wrong(samples.right.get(arm.name, {}), index)]
    ]
    marks = {picture.mark for picture in shown}
    beside = tuple((name, address(each[index])) for name, each in samples.beside.items())
    return Card(caption, tuple(shown), len(marks) > 1, beside)


def _wrong(right: Mapping[str, Bool[np.ndarray, " n"]], index: int) -> list[str] | None:
    return [name for name, ok in right.items() if not ok[index]] if right else None


def _shown(
    arm: int,
    name: str,
    caption: str,
    picture: UInt8[np.ndarray, "height width channels"],
    wrong: list[str] | None,
) -> Shown:
    mark = "" if wrong is None else "wrong" if wrong else "right"
    words = formats.listed(wrong) if wrong else ""
    finding = {"": "", "right": ": all right", "wrong": f": {words} wrong"}[mark]
    alt = f"{name}, asked for {caption!r}{finding}"
    return Shown(arm, address(picture), mark, words, alt)


def _reel(trajectory: Trajectory) -> dict[str, object]:
    frames, count, height, width, _ = trajectory.noisy.shape
    return {
        "frames": frames,
        "count": count,
        "height": height,
        "width": width,
        "logSnr": [formats.signed(float(value), 1) for value in trajectory.log_snr],
        "noisy": _contact_sheet(trajectory.noisy),
        "denoised": _contact_sheet(trajectory.denoised),
    }


def _contact_sheet(film: UInt8[np.ndarray, "frames n height width channels"]) -> str:
    frames, count, height, width, channels = film.shape
    sheet = film.transpose(0, 2, 1, 3, 4).reshape(frames * height, count * width, channels)
    return address(sheet)


def address(picture: UInt8[np.ndarray, "height width channels"]) -> str:
    """A picture as a data address, at its own size."""
    return pictures.data_uri(pictures.png(pictures.to_image(picture)))
