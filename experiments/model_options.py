"""Options of commands that read a released model: where it is, and how it is asked."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from diffusion_jax.errors import UserError

if TYPE_CHECKING:
    from diffusion_jax.published.model import ReleasedModel
    from diffusion_jax.sampling.guidance import Guidance

DTYPES = "float32", "bfloat16"
SETTINGS = (
    *("clip_skip", "max_sequence_length", "tokenizer_max_length"),
    *("clean_caption", "skip_text_cleaning"),
)


def add_model_options(parser: ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--model", required=True, help="folder of the model, or a checkpoint")
    parser.add_argument("--card", default="", help="that explains a checkpoint; else what fits")
    parser.add_argument("--like", help="folder of the model that one file is a version of")
    parser.add_argument("--autoencoder", help="folder of that of a checkpoint's latents")
    parser.add_argument("--lora", help="file of low-rank terms that are added to the model")
    parser.add_argument("--lora-scale", type=float, default=1.0, help="of those terms")
    parser.add_argument("--dtype", default="float32", help="float32 or bfloat16")
    parser.add_argument("--variant", default="", help="which files of weights, such as fp16")
    parser.add_argument("--strict", action="store_true", help="refuse prompts that are too long")
    parser.add_argument("--clip-skip", type=int, help="last layers of CLIP to leave out")
    parser.add_argument("--max-sequence-length", type=int, help="tokens that T5 reads")
    parser.add_argument("--tokenizer-max-length", type=int, help="tokens that PRX reads")
    parser.add_argument(
        "--no-clean-caption",
        dest="clean_caption",
        action="store_const",
        const=False,
        help="have PixArt read prompts as they are, in lower case",
    )
    parser.add_argument(
        "--skip-text-cleaning",
        action="store_const",
        const=True,
        help="have PRX mend the encoding of prompts alone",
    )
    parser.add_argument(
        "--exact-size",
        action="store_true",
        help="draw the size asked for, not the nearest that the model was trained on",
    )


def read_model(options: Namespace) -> "ReleasedModel":
    """The model that the options name.

    Raises:
        UserError: it cannot be read, or has not what is set.
    """
    from diffusion_jax.published.model import released

    if options.dtype not in DTYPES:
        raise UserError(f"--dtype must be float32 or bfloat16, not {options.dtype!r}.")
    settings: dict[str, Any] = {
        name: getattr(options, name) for name in SETTINGS if getattr(options, name) is not None
    }
    if options.exact_size:
        settings["use_resolution_binning"] = False
    return released(
        options.model,
        options.dtype,
        options.variant,
        card=options.card,
        autoencoder=options.autoencoder,
        strict=options.strict,
        lora=options.lora,
        lora_scale=options.lora_scale,
        settings=settings,
        like=options.like,
    )


def guidance_of(told: str | None) -> "float | Guidance | None":
    """A scale of guidance, or the guidance that a spec is; None for the original's.

    >>> guidance_of("7.5"), guidance_of("classifier_free(scale=2.0)").scale
    (7.5, 2.0)
    """
    from diffusion_jax.sampling.guidance import guidance

    if told is None:
        return None
    try:
        return float(told)
    except ValueError:
        return guidance.make(told)
