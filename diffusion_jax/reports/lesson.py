"""How diffusion works, on one page that a teacher can show, and as pictures for slides."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from diffusion_jax.files import save
from diffusion_jax.inference.trajectory import Trajectory
from diffusion_jax.reports import axes, figures, formats, galleries, pictures, plots
from diffusion_jax.reports.curves import Forward
from diffusion_jax.reports.page import fill

STRIP = 9  # frames that fit side by side
SIDE = 192  # pixels of an animated frame


@dataclasses.dataclass(frozen=True)
class Lesson:
    """All that the page shows.

    Attributes:
        schedule: its spec.
        time: (T,) the schedule's own time scaled to [0, 1], 0 = data, 1 = noise.
        log_snr: (T,) at those times.
        caption: of the picture that dissolves.
        forward: that picture, frame by frame.
        prompt: what the reverse process was asked for; "" for nothing in particular.
        denoiser: one or two sentences on who denoises, e.g. "The network of runs/quickstart, …".
        sampler: one line on how, e.g. "heun, 32 steps".
        reverse: from noise to pictures; the first is shown large.
        command: makes it all again.
    """

    schedule: str
    time: Float[np.ndarray, " times"]
    log_snr: Float[np.ndarray, " times"]
    caption: str
    forward: Forward
    prompt: str
    denoiser: str
    sampler: str
    reverse: Trajectory
    command: str


def write(lesson: Lesson, folder: str | Path) -> Path:
    """Writes `explain.html`, and `forward` and `reverse` as film strip (PNG) and animation (GIF).

    Returns:
        The page's path.

    Raises:
        UserError: the folder cannot be written to.
    """
    folder = Path(folder)
    save(pictures.png(forward_strip(lesson)), folder / "forward.png")
    save(forward_gif(lesson), folder / "forward.gif")
    save(pictures.png(reverse_strip(lesson)), folder / "reverse.png")
    save(reverse_gif(lesson), folder / "reverse.gif")
    return save(render(lesson).encode(), folder / "explain.html")


def render(lesson: Lesson) -> str:
    """The page as HTML, with both animations inside."""
    forward, reverse = lesson.forward, lesson.reverse
    some = _spread(len(reverse.log_snr))
    return fill(
        "explain.html",
        title="How diffusion works",
        lesson=lesson,
        forward_frames=_frames(forward.noisy, forward.log_snr, _spread(len(forward.log_snr))),
        noisy_frames=_frames(reverse.noisy[:, 0], reverse.log_snr, some),
        denoised_frames=_frames(reverse.denoised[:, 0], reverse.log_snr, some),
        forward_gif=pictures.data_uri(forward_gif(lesson), "image/gif"),
        reverse_gif=pictures.data_uri(reverse_gif(lesson), "image/gif"),
        curve=_curve(lesson),
        films=[galleries.film(0, lesson.prompt or "any picture", reverse)],
    )


def forward_strip(lesson: Lesson) -> pictures.Image.Image:
    """The forward phase as a film strip with the log-SNR under each frame."""
    chosen = _spread(len(lesson.forward.log_snr))
    texts = _texts(lesson.forward.log_snr[chosen])
    return pictures.grid(lesson.forward.noisy[chosen], texts, len(chosen))


def reverse_strip(lesson: Lesson) -> pictures.Image.Image:
    """The reverse phase as two rows: x_t, and under it the estimate of the clean picture."""
    chosen = _spread(len(lesson.reverse.log_snr))
    frames = [lesson.reverse.noisy[chosen, 0], lesson.reverse.denoised[chosen, 0]]
    texts = [*_texts(lesson.reverse.log_snr[chosen]), *["estimate"] * len(chosen)]
    return pictures.grid(np.concatenate(frames), texts, len(chosen))


def forward_gif(lesson: Lesson) -> bytes:
    """The forward phase as an animation."""
    forward = lesson.forward
    sheets = [
        pictures.grid(frame[None], [text], 1, SIDE)
        for frame, text in zip(forward.noisy, _texts(forward.log_snr), strict=True)
    ]
    return pictures.gif(sheets)


def reverse_gif(lesson: Lesson) -> bytes:
    """The reverse phase as an animation: x_t beside the estimate of the clean picture."""
    reverse = lesson.reverse
    sheets = [
        pictures.grid(np.stack([noisy[0], denoised[0]]), [text, "estimate"], 2, SIDE)
        for noisy, denoised, text in zip(
            reverse.noisy, reverse.denoised, _texts(reverse.log_snr), strict=True
        )
    ]
    return pictures.gif(sheets)


def _spread(count: int) -> np.ndarray:
    """Indices of at most `STRIP` frames, evenly spread from the first to the last."""
    return np.unique(np.linspace(0, count - 1, min(count, STRIP)).round().astype(int))


def _texts(log_snr: Sequence[float] | np.ndarray) -> list[str]:
    return [
        f"log-SNR {formats.signed(float(value), 1)}" if np.isfinite(value) else _end(float(value))
        for value in log_snr
    ]


def _end(log_snr: float) -> str:
    return "clean" if log_snr > 0 else "pure noise"


def _frames(
    frames: UInt8[np.ndarray, "frames height width channels"],
    log_snr: np.ndarray,
    chosen: np.ndarray,
) -> list[tuple[str, str]]:
    """(data address, text) of the chosen frames."""
    sources = [galleries.address(frame) for frame in frames[chosen]]
    return list(zip(sources, _texts(log_snr[chosen]), strict=True))


def _curve(lesson: Lesson) -> figures.Figure:
    chosen = _spread(len(lesson.forward.log_snr))
    forward = lesson.forward
    spots = list(zip(forward.log_snr[chosen].tolist(), forward.time[chosen].tolist(), strict=True))
    shown = np.clip(lesson.log_snr[np.isfinite(lesson.log_snr)], -15, 15)
    x = axes.linear(figures.LOG_SNR, np.concatenate([shown, forward.log_snr]).tolist(), count=6)
    y = axes.linear("time (0 data, 1 noise)", (0, 1), low=0, high=1)
    svg = plots.chart(
        f"Time against log-SNR of the schedule {lesson.schedule}",
        "Dots are the frames above.",
        [plots.Line(0, lesson.log_snr, lesson.time)],
        x,
        y,
        dots=spots,
    )
    return figures.Figure(
        "The schedule",
        svg,
        f"The schedule {lesson.schedule} says how noisy the picture is at each time; the circles "
        "are the frames above. Two schedules that pass through the same noise levels differ only "
        "in how long they stay at each.",
    )
