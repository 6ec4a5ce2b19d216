"""How diffusion works, on one page that a teacher can show, and as pictures for slides."""

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from diffusion_jax.files import save
from diffusion_jax.inference.trajectory import Trajectory
from diffusion_jax.reports import axes, figures, formats, galleries, pictures, plots
from diffusion_jax.reports.page import fill
from diffusion_jax.reports.walks import Forward

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
    for name, film in _films(lesson).items():
        save(pictures.png(film.strip()), folder / f"{name}.png")
        save(film.gif(), folder / f"{name}.gif")
    return save(render(lesson).encode(), folder / "explain.html")


def render(lesson: Lesson) -> str:
    """The page as HTML, with both animations inside."""
    films = _films(lesson)
    forward, reverse = films.values()
    noisy, denoised = reverse.rows
    return fill(
        "explain.html",
        title="How diffusion works",
        lesson=lesson,
        forward_frames=forward.frames(*forward.rows),
        noisy_frames=reverse.frames(noisy),
        denoised_frames=reverse.frames(denoised),
        forward_gif=pictures.data_uri(forward.gif(), "image/gif"),
        reverse_gif=pictures.data_uri(reverse.gif(), "image/gif"),
        curve=_curve(lesson),
        films=[galleries.film(0, lesson.prompt or "any picture", lesson.reverse)],
    )


@dataclasses.dataclass(frozen=True)
class PhaseFilm:
    """One phase: x_t, and under it, if there is one, the estimate of the clean picture.

    Attributes:
        log_snr: (frames,) of each frame.
        rows: (frames, height, width, channels) of x_t, and of the estimate.
    """

    log_snr: Float[np.ndarray, " frames"]
    rows: tuple[UInt8[np.ndarray, "frames height width channels"], ...]

    @property
    def _chosen(self) -> Int[np.ndarray, " strip"]:
        return plots.spread(len(self.log_snr), STRIP)

    def strip(self) -> pictures.Image.Image:
        """Some frames side by side, with the log-SNR under each."""
        chosen = self._chosen
        texts = [_text(float(level)) for level in self.log_snr[chosen]]
        texts += ["estimate"] * len(chosen) * (len(self.rows) - 1)
        return pictures.grid(np.concatenate([row[chosen] for row in self.rows]), texts, len(chosen))

    def gif(self) -> bytes:
        """All frames as an animation."""
        texts = [[_text(float(level)), "estimate"][: len(self.rows)] for level in self.log_snr]
        frames = zip(np.stack(self.rows, 1), texts, strict=True)
        return pictures.gif([pictures.grid(f, said, len(said), SIDE) for f, said in frames])

    def frames(
        self, row: UInt8[np.ndarray, "frames height width channels"]
    ) -> list[tuple[str, str]]:
        """(data address, text) of some frames of a row."""
        return [(galleries.address(row[i]), _text(float(self.log_snr[i]))) for i in self._chosen]


def _films(lesson: Lesson) -> dict[str, PhaseFilm]:
    """Both phases; of the reverse one its first picture."""
    there, back = lesson.forward, lesson.reverse
    return {
        "forward": PhaseFilm(there.log_snr, (there.noisy,)),
        "reverse": PhaseFilm(back.log_snr, (back.noisy[:, 0], back.denoised[:, 0])),
    }


def _text(log_snr: float) -> str:
    if np.isfinite(log_snr):
        return f"log-SNR {formats.signed(float(log_snr), 1)}"
    return "clean" if log_snr > 0 else "pure noise"


def _curve(lesson: Lesson) -> figures.Figure:
    chosen = plots.spread(len(lesson.forward.log_snr), STRIP)
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
