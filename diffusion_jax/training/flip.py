"""Whether pictures may be mirrored."""

from ml_collections import ConfigDict

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.mirror import sided
from diffusion_jax.errors import UserError
from diffusion_jax.training.conditioning import arm_conditioners
from diffusion_jax.words import split_words


def check_flip(config: ConfigDict, data: Dataset) -> None:
    """Refuses to mirror pictures whose condition says what is left and what is right.

    Words are English, see `data.mirror`.

    Raises:
        UserError: `flip` is set, and such a word is among the texts that an arm's conditioner
            reads, or it reads what would have to be mirrored as well.
    """
    if not config.flip:
        return
    if not data.has_pictures:
        raise UserError(f"flip=True mirrors pictures, and data set {data.name!r} has {data.form}.")
    for name, conditioner in arm_conditioners(config).items():
        if not conditioner.mirrors:
            raise UserError(
                f"flip=True mirrors pictures, and not {conditioner.keys[0]!r}, which arm {name!r} "
                f"reads of data set {data.name!r}: leave flip=False."
            )
        for what, texts in conditioner.texts(data).items():
            words = dict.fromkeys(word for text in texts for word in split_words(text))
            if found := sided(words):
                raise UserError(
                    f"flip=True mirrors pictures, and arm {name!r} reads {what} that say "
                    f"{found[0]!r}, of data set {data.name!r}: leave flip=False."
                )
