"""Options that several commands share."""

import re
from typing import TYPE_CHECKING, Any

from absl import flags

from diffusion_jax.errors import UserError

if TYPE_CHECKING:
    from diffusion_jax.data.example import Source

ARM = flags.DEFINE_string("arm", "", "which arm; empty: all of them, or the first")
PROMPT = flags.DEFINE_multi_string("prompt", [], "what to draw, a caption; empty: any")
LABEL = flags.DEFINE_string(
    "label", "", "which class, for arms that read classes; empty: the one that the prompt names"
)
OUT = flags.DEFINE_string("out", "", "where to write; empty: under runs/")

PICTURE = flags.DEFINE_integer("picture", 0, "which test picture to start from", lower_bound=0)

flags.register_validator(
    PROMPT,
    lambda prompts: all(re.search(r"\w", prompt) for prompt in prompts if prompt),
    "a prompt is made of words",
)


def test_picture(source: "Source") -> dict[str, Any]:
    """The example that --picture names, of a data set's test examples.

    Raises:
        UserError: there are not as many.
    """
    if PICTURE.value >= len(source):
        raise UserError(f"There is no picture {PICTURE.value}: the test set has {len(source)}.")
    return dict(source[PICTURE.value])
