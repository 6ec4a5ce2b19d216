"""Whether pictures may be mirrored."""

from ml_collections import ConfigDict

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.mirror import sided
from diffusion_jax.data.tokenizer import split_words
from diffusion_jax.errors import UserError
from diffusion_jax.networks.registries import text_encoders
from diffusion_jax.registry import parse
from diffusion_jax.training.arms import arm_settings


def check_flip(config: ConfigDict, data: Dataset) -> None:
    """Refuses to mirror pictures of which an arm is told what is left and what is right.

    Arms that read captions are told all words of theirs, those that read classes the classes'
    names; words are English, see `data.mirror`.

    Raises:
        UserError: `flip` is set, and such a word is among them.
    """
    if not config.flip:
        return
    told = {
        "tokens": ("captions", data.tokenizer.words),
        "label": ("class names", [word for name in data.class_names for word in split_words(name)]),
    }
    for name, settings in arm_settings(config).items():
        if settings["text"] == "none":
            continue
        for key in getattr(text_encoders[parse(settings["text"]).name], "keys", ()):
            what, words = told[key]
            if found := sided(words):
                raise UserError(
                    f"flip=True mirrors pictures, and arm {name!r} reads {what} that say "
                    f"{found[0]!r}, of data set {data.name!r}: leave flip=False."
                )
