"""The emoji that `python -m experiments.emoji` has assembled, as a data set."""

from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.data.records import captioned
from diffusion_jax.data.records.fields import CaptionFields
from diffusion_jax.data.sets.emoji.assemble import TEST, TRAIN
from diffusion_jax.data.sets.web_dataset.dataset import TarRecords
from diffusion_jax.errors import UserError
from diffusion_jax.files import user_path


@datasets.register("emoji")
def emoji(
    path: str = "~/emoji", size: int | tuple[int, int] = 32, memory: bool | None = None
) -> Dataset:
    """Some 14,000 emoji in four styles of drawing, each with captions: text to image on a CPU.

    A picture has three captions: its name ("waving hand: medium skin tone"), its name and style,
    and its name with words that people look for it by. What is for testing is so by concept: no
    style and no skin tone of it is in training, and no woman or man who does the same. Some
    concepts look alike all the same, such as the flags of Chad and Romania.

    Args:
        path: folder that `python -m experiments.emoji` has written.
        size: height and width, or one number for both; pictures are drawn at 64.
        memory: keep decoded pictures; None keeps what takes at most 1 GiB.

    Raises:
        UserError: nothing has been assembled there.
    """
    root = user_path(path)
    if missing := [name for name in (TRAIN, TEST) if not (root / name).is_file()]:
        raise UserError(
            f"Data set 'emoji': there is no {root / missing[0]}. `python -m experiments.emoji "
            f"--out={path}` assembles it from packages of npm."
        )
    fields = CaptionFields(("captions",), owner="emoji")
    train, test = (TarRecords((root / name,), fields) for name in (TRAIN, TEST))
    return captioned("emoji", train, size, 3, 0.0, damaged=0.0, test=test, memory=memory)
