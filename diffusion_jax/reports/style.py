"""The look all figures share: one colour and one dash per arm, the same everywhere.

The hues are those of Okabe & Ito (2008, "Color Universal Design") that hold on white paper, each
with a lighter twin for dark pages. Beyond six arms the hues come round again with another dash,
so arms stay apart without colour vision and in print.
"""

LIGHT = ("#0072b2", "#d55e00", "#00805f", "#b0548a", "#b87a00", "#3d3d8f")
DARK = ("#5ab4e8", "#ff8c42", "#2cc69a", "#e493c0", "#e9b44c", "#a3a3f0")
DASHES = ("", "6 3", "2 3", "8 3 2 3")


def css_class(arm: int) -> str:
    """The CSS class that gives the arm of this index its colour."""
    return f"arm-{arm % len(LIGHT)}"


def dash(arm: int) -> str:
    """The SVG dash pattern of the arm of this index; empty is a full line."""
    return DASHES[arm // len(LIGHT) % len(DASHES)]


def css_variables(dark: bool) -> str:
    """Declarations of the colours as CSS variables `--arm-0`, `--arm-1`, …"""
    palette = DARK if dark else LIGHT
    return " ".join(f"--arm-{index}: {colour};" for index, colour in enumerate(palette))


def css_rules() -> str:
    """Rules that let `.arm-k` set the variable `--arm` which everything else draws with."""
    return "\n".join(
        f".arm-{index} {{ --arm: var(--arm-{index}); }}" for index in range(len(LIGHT))
    )
