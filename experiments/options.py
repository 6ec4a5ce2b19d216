"""Options that several commands share."""

import re

from absl import flags

ARM = flags.DEFINE_string("arm", "", "which arm; empty: all of them, or the first")
PROMPT = flags.DEFINE_multi_string("prompt", [], "what to draw, a caption; empty: any")
OUT = flags.DEFINE_string("out", "", "where to write; empty: under runs/")

flags.register_validator(
    PROMPT,
    lambda prompts: all(re.search(r"\w", prompt) for prompt in prompts if prompt),
    "a prompt is made of words",
)
