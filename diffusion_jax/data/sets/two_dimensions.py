"""Distributions in the plane: vectors of two numbers, on which an idea is tried in seconds.

Each is a mixture of normals around points of a figure, closer to one another than their standard
deviation, so that it looks like the figure and is known exactly: density, score and denoiser at any
noise level are those of `Dataset.distribution`. Their standard deviation is about 0.5, as
EDM's sigma_data has it.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Int64

from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.data.drawn import DrawnSource
from diffusion_jax.data.example import NO_LABEL, Example
from diffusion_jax.data.indexed_random import uniforms
from diffusion_jax.errors import UserError
from diffusion_jax.verification.oracles import GaussianMixture

COUNT, TEST_COUNT = 60_000, 4_000
POINTS = 256  # of a curve


@dataclasses.dataclass(frozen=True, eq=False)
class NormalsSource(DrawnSource):
    """Points of a mixture of equally likely normals; example i depends on (seed, i) alone.

    Attributes:
        means: of the components.
        std: of all of them.
        labels: of the components.
        count: number of examples.
        seed: of the draws.
    """

    means: Float32[np.ndarray, "components dim"]
    std: float
    labels: Int64[np.ndarray, " components"]
    count: int
    seed: int

    def draw(self, positions: Int64[np.ndarray, " n"]) -> list[Example]:
        u = uniforms(self.seed, positions, 3)
        component = (u[:, 0] * len(self.means)).astype(np.int64)
        # Box & Muller 1958: two normal numbers from two uniform ones.
        radius, angle = np.sqrt(-2 * np.log1p(-u[:, 1])), 2 * np.pi * u[:, 2]
        noise = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        points = self.means[component] + np.float32(self.std) * noise.astype(np.float32)
        return [
            {"vector": point, "captions": (), "label": int(self.labels[k]), "key": int(i)}
            for i, point, k in zip(positions, points, component, strict=True)
        ]


@datasets.register("ring")
def ring(
    radius: float = 0.7,
    std: float = 0.05,
    count: int = COUNT,
    test_count: int = TEST_COUNT,
    seed: int = 0,
) -> Dataset:
    """A circle around the origin.

    Args:
        radius: of the circle.
        std: of the normals around its points.
        count: examples to train on.
        test_count: examples to compare with.
        seed: of both.

    Raises:
        UserError: a setting that makes no sense.

    >>> data = ring()
    >>> data.shape, bool(abs(np.linalg.norm(data.train[0]["vector"]) - 0.7) < 0.2)
    ((2,), True)
    """
    angle = _turns(POINTS) * 2 * np.pi
    means = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _plane("ring", means, std, count, test_count, seed)


@datasets.register("swiss_roll")
def swiss_roll(
    std: float = 0.03, count: int = COUNT, test_count: int = TEST_COUNT, seed: int = 0
) -> Dataset:
    """A spiral of one turn and a half, seen from the side of the roll; settings as of `ring`.

    (t cos t, t sin t)/4.5 pi, t from 1.5 pi to 4.5 pi, evenly along t (Marsland 2009).
    """
    angle = 1.5 * np.pi * (1 + 2 * _turns(2 * POINTS))
    means = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (angle / (4.5 * np.pi))[:, None]
    return _plane("swiss_roll", means, std, count, test_count, seed)


@datasets.register("two_moons")
def two_moons(
    std: float = 0.04, count: int = COUNT, test_count: int = TEST_COUNT, seed: int = 0
) -> Dataset:
    """Two half circles that reach into one another, each a class; settings as of `ring`."""
    angle = _turns(POINTS) * np.pi
    upper = np.stack([np.cos(angle) - 0.5, np.sin(angle) - 0.25], axis=1)
    means = 0.7 * np.concatenate([upper, -upper])
    names = ("upper", "lower")
    return _plane("two_moons", means, std, count, test_count, seed, names)


@datasets.register("eight_gaussians")
def eight_gaussians(
    radius: float = 0.7,
    std: float = 0.06,
    count: int = COUNT,
    test_count: int = TEST_COUNT,
    seed: int = 0,
) -> Dataset:
    """Eight normals on a circle, each a class; settings as of `ring`."""
    angle = np.arange(8) * np.pi / 4
    means = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    names = ("east", "northeast", "north", "northwest", "west", "southwest", "south", "southeast")
    return _plane("eight_gaussians", means, std, count, test_count, seed, names)


@datasets.register("checkerboard")
def checkerboard(
    std: float = 0.04, count: int = COUNT, test_count: int = TEST_COUNT, seed: int = 0
) -> Dataset:
    """The eight dark squares of a board of four by four; settings as of `ring`."""
    cell = np.arange(32)
    rows, columns = np.meshgrid(cell, cell, indexing="ij")
    dark = (rows // 8 + columns // 8) % 2 == 1
    means = (np.stack([columns[dark], rows[dark]], axis=1) - 15.5) / 18
    return _plane("checkerboard", means, std, count, test_count, seed)


def _turns(count: int) -> np.ndarray:
    """The middles of so many equal parts of [0, 1]."""
    return (np.arange(count) + 0.5) / count


def _plane(
    name: str,
    means: np.ndarray,
    std: float,
    count: int,
    test_count: int,
    seed: int,
    class_names: tuple[str, ...] = (),
) -> Dataset:
    """The data set of normals around points; those of the classes follow one another."""
    if not (std > 0 and count > 0 and test_count > 0):
        raise UserError(
            f"Data set {name!r}: std={std}, count={count}, test_count={test_count}; "
            "give positive ones."
        )
    components = len(means)
    if class_names:
        labels = np.arange(components) * len(class_names) // components
    else:
        labels = np.full(components, NO_LABEL)
    centres = means.astype(np.float32)
    train, test = (
        NormalsSource(centres, std, labels, each, 2 * seed + side)
        for side, each in enumerate((count, test_count))
    )
    exact = GaussianMixture(
        jnp.full(components, 1 / components), jnp.asarray(centres), jnp.full(components, std)
    )
    return Dataset(name, train, (2,), test, class_names, distribution=exact)
