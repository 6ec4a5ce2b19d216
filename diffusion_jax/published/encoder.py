"""An encoder of captions or pictures that others released, read alone and asked in words."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
from jax.sharding import Sharding
from jaxtyping import Array, Bool, Float, Int32, PyTree

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.files import user_path
from diffusion_jax.networks.encoders import Encoder, Encoding, encoders
from diffusion_jax.published.card import ENCODERS, ModelCard
from diffusion_jax.published.card import card as named_card
from diffusion_jax.published.encoder_file import encoder_file
from diffusion_jax.published.halves import (
    HALVES,
    half_configuration,
    half_module,
    half_tensors,
)
from diffusion_jax.published.identify import fitting
from diffusion_jax.published.names import names_of, to_params
from diffusion_jax.published.parts import CONFIG, Part, parameter_shapes, read_part
from diffusion_jax.published.preprocessing import (
    FILE,
    Picture,
    Preprocessing,
    read_preprocessing,
)
from diffusion_jax.published.readers import Tensor, open_weights
from diffusion_jax.published.room import check_room
from diffusion_jax.published.tokenizers import PromptTokenizer, read_tokenizer

DTYPES = ("float32", "bfloat16", "float64")
TOKENIZERS = "tokenizer.json", "merges.txt", "vocab.txt", "spiece.model"


@dataclasses.dataclass(frozen=True, eq=False)
class ReleasedEncoder:
    """An encoder that others have released.

    Attributes:
        path: of the folder or file that it was read from.
        part: the module with its parameters.
        tokenizer: that goes with it; None where there is none.
        preprocessing: of pictures; None where nothing says it.
    """

    path: Path
    part: Part
    tokenizer: PromptTokenizer | None = None
    preprocessing: Preprocessing | None = None

    def text(self, prompts: Sequence[str], length: int | None = None) -> Encoding:
        """What it makes of prompts, a row each; no token looks at padding.

        Args:
            prompts: in words.
            length: of all prompts, in tokens; None is what the tokenizer says.

        Raises:
            UserError: it reads no words, or there is no tokenizer.
        """
        module = self.part.module
        if module.reads == "pictures":
            raise UserError(f"{self.path} is a {module.original}, which reads pictures alone.")
        if self.tokenizer is None:
            raise UserError(
                f"{self.path} has no tokenizer ({', '.join(TOKENIZERS)}) beside the encoder; of a "
                "file it is that of a folder that it is like (like=FOLDER)."
            )
        ids, mask = self.tokenizer(prompts, length)
        if ids.max(initial=0) >= module.vocab_size:
            raise UserError(
                f"The tokenizer of {self.path} gives the id {ids.max()}, and the encoder has "
                f"{module.vocab_size}: they are of two models."
            )
        return encode(module, self.part.params, jnp.asarray(ids), jnp.asarray(mask))

    def pictures(self, pictures: Sequence[Picture]) -> Encoding:
        """What it makes of pictures, a row each, brought to size and normalised first.

        Args:
            pictures: bytes, (height, width, 3) each, of any sizes.

        Raises:
            UserError: it reads no pictures, or its folder does not say how they are prepared.
        """
        module = self.part.module
        if module.reads == "text":
            raise UserError(f"{self.path} is a {module.original}, which reads words alone.")
        if self.preprocessing is None:
            raise UserError(
                f"{self.path} has no {FILE}, which says how pictures are prepared: give a "
                "Preprocessing."
            )
        given = jnp.asarray(self.preprocessing(pictures))
        return encode(module, self.part.params, given, None)

    def alike(self, captions: Encoding, pictures: Encoding) -> Float[Array, "pictures captions"]:
        """How alike pictures and captions are, as CLIP says: a softmax over captions chooses one.

        Raises:
            UserError: it does not read both.
        """
        module = self.part.module
        if module.reads != "both":
            raise UserError(f"{self.path} is a {module.original}, which does not read both.")
        found: Array = module.apply(
            {"params": self.part.params}, captions.pooled, pictures.pooled, method="alike"
        )
        return found


@functools.partial(jax.jit, static_argnums=0)
def encode(
    module: Encoder,
    params: PyTree,
    given: Int32[Array, "batch length"] | Float[Array, "batch height width colours"],
    mask: Bool[Array, "batch length"] | None,
) -> Encoding:
    """What an encoder makes of ids or pictures, compiled."""
    found = module.apply({"params": params}, given, mask)
    assert isinstance(found, Encoding)
    return found


def read_encoder(
    path: str | Path,
    dtype: str = "float32",
    *,
    variant: str = "",
    half: str = "",
    card: str | ModelCard = "",
    like: str | Path | None = None,
    strict: bool = False,
    sharding: Sharding | None = None,
) -> ReleasedEncoder:
    """Reads an encoder: a folder as transformers writes it, or a file of its authors.

    A folder is of CLIP, DINOv2, T5, T5Gemma or BERT; a text encoder of a model's folder, such as
    MODEL/text_encoder_2, finds its tokenizer beside it. A file is of CLIP (ViT-L-14.pt) or DINOv2
    (dinov2_vitl14_pretrain.pth), and says itself what it is, but for heads and activation of CLIP's
    that are not OpenAI's.

    Args:
        path: of the folder or file.
        dtype: of the parameters and of the computation.
        variant: which of several files of weights of a folder, such as "fp16".
        half: of CLIP, "text" or "pictures", of which alone the tensors are read; "" is the whole.
        card: that explains a file; "" is the one that fits it, if any.
        like: folder of transformers' that a file is like, which has its settings and its tokenizer.
        strict: refuse prompts that are too long, and do not cut them.
        sharding: where the parameters are to live; None is the default device.

    Raises:
        UserError: it is no encoder, something is missing, damaged or left over, or there is no
            memory for it.
    """
    one_of(dtype, DTYPES, "dtype of a released model")
    one_of(half, ("", *HALVES), "half of an encoder")
    place = user_path(path)
    if not place.is_file():
        if card or like is not None:
            raise UserError("card and like are of a file of an encoder; a folder says what it is.")
        part = _folder_part(place, dtype, variant, half, sharding)
        return _asked(place, part, place, strict, None)
    if variant:
        raise UserError(f"variant={variant!r} is of a folder, and {place} is a file.")
    if card and like is not None:
        raise UserError(
            "A file is explained by a card or by a folder that it is like, not by both."
        )
    of = None if like is None else user_path(like)
    part, preprocessing = _file_part(
        place, dtype, half, card_of_file(place, card, of), of, sharding
    )
    return _asked(place, part, of, strict, preprocessing)


def _folder_part(
    folder: Path, dtype: str, variant: str, half: str, sharding: Sharding | None
) -> Part:
    if not (folder / CONFIG).exists():
        raise UserError(f"{folder} is no folder of an encoder: it has no {CONFIG}.")
    tensors: Mapping[str, Tensor] = open_weights(folder, variant)
    tensors = half_tensors(tensors, half) if half else tensors
    check_room(tensors.values(), dtype, folder, sharding)
    part = read_part(folder, dtype, variant, sharding, half)
    if not isinstance(part.module, Encoder):
        raise UserError(
            f"{folder} is a {type(part.module).__name__}, which is no encoder: known are "
            f"{', '.join(encoders)}."
        )
    return part


def _file_part(
    path: Path,
    dtype: str,
    half: str,
    card: ModelCard | None,
    like: Path | None,
    sharding: Sharding | None,
) -> tuple[Part, Preprocessing | None]:
    """A file's encoder, and how its authors prepare pictures."""
    file = encoder_file(open_weights(path), card, like, dtype)
    file.check(path)
    module, configuration = file.module, file.configuration
    shapes, tensors = file.shapes, file.tensors
    if half:
        module = half_module(module, half)
        configuration, tensors = half_configuration(module), half_tensors(tensors, half)
        shapes = parameter_shapes(module, configuration)
    check_room(tensors.values(), dtype, path, sharding)
    try:
        params = to_params(shapes, tensors, names_of(module), jnp.dtype(dtype), sharding)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return Part(module, params, configuration), file.preprocessing


def card_of_file(
    path: Path, card: str | ModelCard = "", like: Path | None = None
) -> ModelCard | None:
    """The card of a file of an encoder, unless a folder that it is like says more; None for none.

    Raises:
        UserError: the card is of something else.
    """
    if like is not None:
        return None
    if not card:
        found = [each for each, _ in fitting(path) if each.kind in ENCODERS]
        return found[0] if len(found) == 1 else None
    known = card if isinstance(card, ModelCard) else named_card(card)
    if known.kind not in ENCODERS:
        raise UserError(f"The card {known.name!r} is of a {known.kind}, and not of an encoder.")
    return known


def _asked(
    path: Path, part: Part, folder: Path | None, strict: bool, preprocessing: Preprocessing | None
) -> ReleasedEncoder:
    """An encoder with what a folder has beside it, or with its authors' way to prepare pictures."""
    reads, tokenizer = part.module.reads, None
    if folder is not None:
        places = [folder, folder.with_name(folder.name.replace("text_encoder", "tokenizer"))]
        found = [each for each in places if any((each / name).exists() for name in TOKENIZERS)]
        if found and reads != "pictures":
            tokenizer = read_tokenizer(found[0], strict)
        if (folder / FILE).exists():
            preprocessing = read_preprocessing(folder)
    return ReleasedEncoder(path, part, tokenizer, None if reads == "text" else preprocessing)
