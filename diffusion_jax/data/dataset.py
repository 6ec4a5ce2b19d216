"""What the rest of the library knows of a data set."""

import dataclasses
import functools
from collections.abc import Callable, Iterable

import numpy as np
from jaxtyping import Float32

from diffusion_jax.data.example import Check, Source, Values, take, to_values
from diffusion_jax.registry import Registry
from diffusion_jax.verification.oracles import GaussianMixture


@dataclasses.dataclass(frozen=True)
class Decoded:
    """What the latents of a data set stand for.

    Attributes:
        pictures: the data set that they are of, with the same examples in the same order.
        decode: latents, float32 (n, height, width, channels), to pictures, (n, rows, columns,
            colours), about from -1 to 1.
    """

    pictures: "Dataset"
    decode: Callable[[Float32[np.ndarray, "n ..."]], Float32[np.ndarray, "n ..."]]


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Pictures, vectors or other arrays, those that are trained on and those that are not.

    A set of one's own needs a name, something to train on, and its shape.

    Attributes:
        name: of the registry.
        train: examples to train on.
        shape: of a picture, (height, width, channels): 1 channel is grey, 3 are RGB, and 2 or 4 the
            same with opacity; of a vector, (features,); of a latent, that of its numbers.
        test: examples to compare with; where `held_out_captions` is not empty, of those.
        class_names: what an example's label stands for.
        captions: all of them, of train, test and prompts, from which tokenizers learn.
        prompts: captions worth sampling; unseen in training where `held_out_captions` says so.
        held_out_captions: captions that are never in `train`, where the set holds captions out.
        check: reads from pictures whether they show what captions say, if that can be seen.
        distribution: what examples are drawn from, where that is known: its exact denoiser and
            density at any noise level.
        decoded: of a data set of latents, what they stand for, where that is known.
    """

    name: str
    train: Source
    shape: tuple[int, ...]
    test: Source = ()
    class_names: tuple[str, ...] = ()
    captions: Iterable[str] = ()
    prompts: tuple[str, ...] = ()
    held_out_captions: tuple[str, ...] = ()
    check: Check | None = None
    distribution: GaussianMixture | None = None
    decoded: Decoded | None = None

    @property
    def visible(self) -> "Dataset":
        """What is shown, and what samples are held against: the pictures of latents, else itself.

        The examples are the same, in the same order.
        """
        return self if self.decoded is None else self.decoded.pictures

    def seen(self, x0: Float32[np.ndarray, "n ..."]) -> Values:
        """What networks make of the data, in the form of the examples of `visible`."""
        values = x0 if self.decoded is None else self.decoded.decode(x0)
        return to_values(values, self.visible.has_pictures)

    @property
    def num_classes(self) -> int:
        """Number of different labels."""
        return len(self.class_names)

    @functools.cached_property
    def has_pictures(self) -> bool:
        """Whether its examples are pictures, which are bytes, not vectors or other arrays."""
        source = self.train if len(self.train) else self.test
        if len(self.shape) != 3 or not len(source):
            return len(self.shape) == 3
        return "image" in take(source, [0])[0]

    @property
    def form(self) -> str:
        """What its examples are: "pictures of 16×16", "vectors of 2", "arrays of 8×8×4"."""
        if self.has_pictures:
            return f"pictures of {self.shape[0]}×{self.shape[1]}"
        if self.decoded is not None:
            shape = "×".join(map(str, self.shape))
            return f"latents of {shape} ({self.visible.form})"
        kind = "arrays" if len(self.shape) > 2 else "vectors"
        return f"{kind} of {'×'.join(map(str, self.shape))}"


def check_readable(data: Dataset) -> None:
    """Finds out before it matters whether the pictures of both splits can be read.

    Sources that keep their pictures in memory read all of them; others are asked for their first.

    Raises:
        UserError: a picture cannot be read; the message names it.
    """
    for source in (data.train, data.test):
        if len(source):
            take(source, [0])


datasets: Registry[Dataset] = Registry("data set")
