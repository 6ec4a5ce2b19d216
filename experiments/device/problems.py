"""The networks that are timed, and on what."""

import dataclasses

CLASSES = 1000  # of ImageNet


@dataclasses.dataclass(frozen=True)
class Problem:
    """A network, the shape of what it sees, and how much of it at once.

    Attributes:
        means: what it is, in words.
        member: name of the network.
        settings: of the network, in the form of a spec.
        shape: of one picture or latent.
        batch: pictures of a training step; halved until they fit.
        classes: of the condition; 0 for none.
    """

    means: str
    member: str
    settings: str
    shape: tuple[int, ...]
    batch: int
    classes: int = 0

    def spec(self, *settings: str) -> str:
        """The network as a spec, with further settings."""
        return f"{self.member}({', '.join([self.settings, *settings])})"

    @property
    def text(self) -> str:
        """What reads the classes, as a spec."""
        return "label(width=64)" if self.classes else "none"


def _dit(name: str, width: int, depth: int, heads: int, batch: int) -> Problem:
    settings = f"patch=2, width={width}, depth={depth}, heads={heads}, text='pooled'"
    means = f"{name} on latents of 256-pixel pictures"
    return Problem(means, "dit", settings, (32, 32, 4), batch, CLASSES)


# Peebles & Xie 2022, table 1; latents of 256 x 256 pixels are 32 x 32 with 4 channels.
PROBLEMS = {
    "dit_b2": _dit("DiT-B/2", 768, 12, 12, 256),
    "dit_s2": _dit("DiT-S/2", 384, 12, 6, 512),
    "dit_xl2": _dit("DiT-XL/2", 1152, 28, 16, 128),
    "unet": Problem(
        "a U-Net of 10M parameters on 32 x 32 pixels",
        "unet",
        "channels=(64, 128, 224), blocks=2, attention=(2,)",
        (32, 32, 3),
        512,
    ),
    "mlp": Problem("an MLP on points of the plane", "mlp", "width=128, depth=3", (2,), 256),
}

# The same sections end to end, in seconds on a CPU.
_SMALL_DIT = Problem(
    "a tiny DiT",
    "dit",
    "patch=2, width=16, depth=1, heads=2, text='pooled'",
    (4, 4, 4),
    4,
    CLASSES,
)
SMALL = {
    "dit_b2": _SMALL_DIT,
    "dit_s2": _SMALL_DIT,
    "dit_xl2": _SMALL_DIT,
    "unet": Problem(
        "a tiny U-Net", "unet", "channels=(8, 16), blocks=1, attention=(1,)", (4, 4, 3), 4
    ),
    "mlp": Problem("a tiny MLP", "mlp", "width=8, depth=1", (2,), 8),
}


def problem(name: str, small: bool) -> Problem:
    """The network of a name, tiny in the small form."""
    return (SMALL if small else PROBLEMS)[name]
