"""What a U-Net is told besides the noise level: a class, and SDXL's text and sizes."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.networks import checks
from diffusion_jax.networks.conditioners.base import Context
from diffusion_jax.networks.layers import Linear, OneHotEmbedding
from diffusion_jax.networks.unet2d.embedding import VectorEmbedding, sines

Vector = Float[Array, "batch embedding"]

KINDS = ("timestep", "identity", "projection", "simple_projection")


@dataclasses.dataclass(frozen=True)
class Told:
    """How classes, text and sizes enter the embedding.

    Attributes:
        owner: the network, for messages.
        width: of the embedding.
        kind: of the class: a member of `KINDS`, or None for one of `classes`.
        classes: how many, or None.
        inputs: width of what is projected: a class vector, or text and sizes side by side.
        sizes: width of the sines of each size, where text and sizes are told; None if not.
        sines_width, flip_sin_to_cos, freq_shift: of the sines of a class that is a number.
        act: activation of a class that is a number.
        dtype: dtype of the computation.
    """

    owner: str
    width: int
    kind: str | None
    classes: int | None
    inputs: int | None
    sizes: int | None
    sines_width: int
    flip_sin_to_cos: bool
    freq_shift: float
    act: str
    dtype: str

    def check(self, *kinds: str) -> None:
        """Raises UserError for settings that cannot work; kinds are those that a network has."""
        if self.kind is not None:
            one_of(self.kind, kinds, f"class_embed_type of a {self.owner}")
            if self.classes is not None:
                raise UserError(
                    f"{self.owner}: num_class_embeds={self.classes} is for classes that are looked "
                    f"up, and class_embed_type={self.kind!r} for others: leave one out."
                )
        elif self.classes is not None:
            checks.positive_integers(self.owner, num_class_embeds=self.classes)
        if self.sizes is not None or (self.kind or "").endswith("projection"):
            checks.positive_integers(self.owner, projection_class_embeddings_input_dim=self.inputs)

    @property
    def has_class(self) -> bool:
        """Whether it is told a class."""
        return self.kind is not None or self.classes is not None

    @property
    def class_width(self) -> int:
        """How much of the pooled vector tells the class; the rest is text."""
        if self.kind is None:
            return self.classes or 0
        widths = {"timestep": 0, "identity": self.width}
        return widths.get(self.kind, self.inputs or 0)

    def class_vector(self, context: Context | None) -> Vector | None:
        """What the class adds; its layers are those of the calling module.

        Raises:
            UserError: no class is told, or one of another width.
        """
        if not self.has_class:
            return None
        if context is None:
            raise UserError(f"{self.owner}: it wants a class, and is given no condition.")
        if self.kind == "timestep":
            numbers = self._numbers(context, 1)[:, 0]
            features = sines(
                numbers, self.sines_width, self.flip_sin_to_cos, self.freq_shift, self.dtype
            )
            return VectorEmbedding(self.width, self.act, dtype=self.dtype, name="class_embedding")(
                features
            )
        told = context.pooled[:, : self.class_width]
        if told.shape[1] < self.class_width or (
            self.sizes is None and context.pooled.shape[1] > self.class_width
        ):
            raise UserError(
                f"{self.owner}: its class is a vector of {self.class_width} numbers, and the "
                f"condition's has {context.pooled.shape[1]}."
            )
        if self.kind == "identity":
            return told.astype(self.dtype)
        if self.kind == "projection":
            return VectorEmbedding(self.width, dtype=self.dtype, name="class_embedding")(told)
        if self.kind == "simple_projection":
            return Linear(self.width, dtype=self.dtype, name="class_embedding")(told)
        return OneHotEmbedding(self.width, self.dtype, name="class_embedding")(told)

    def text_and_sizes(self, context: Context | None) -> Vector | None:
        """What text and sizes add; its layers are those of the calling module.

        Raises:
            UserError: they are not told, or are of another width.

        Source: Podell et al. 2023 (SDXL), section 2.2.
        """
        if self.sizes is None:
            return None
        if context is None:
            raise UserError(f"{self.owner}: it wants text and sizes, and is given no condition.")
        text = context.pooled[:, self.class_width :]
        count = ((self.inputs or 0) - text.shape[1]) // self.sizes
        before = int(self.kind == "timestep")
        numbers = self._numbers(context, before + max(count, 0))[:, before:]
        width = text.shape[1] + numbers.shape[1] * self.sizes
        if width != self.inputs:
            raise UserError(
                f"{self.owner}: text of {text.shape[1]} features and {numbers.shape[1]} sizes are "
                f"{width} features, and projection_class_embeddings_input_dim is {self.inputs}."
            )
        flat = sines(
            numbers.reshape(-1), self.sizes, self.flip_sin_to_cos, self.freq_shift, self.dtype
        )
        both = [text.astype(self.dtype), flat.reshape(len(numbers), -1)]
        embedding = VectorEmbedding(self.width, dtype=self.dtype, name="add_embedding")
        return embedding(jnp.concatenate(both, axis=1))

    def _numbers(self, context: Context, count: int) -> Float[Array, "batch count"]:
        given = 0 if context.numbers is None else context.numbers.shape[1]
        if context.numbers is None or given < count:
            raise UserError(
                f"{self.owner}: it wants {count} numbers in the condition, and is given {given}."
            )
        return context.numbers
