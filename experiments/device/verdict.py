"""The figures against the targets."""

import dataclasses

from experiments.device.record import Record, figures


@dataclasses.dataclass(frozen=True)
class Target:
    """A target and what was found.

    Attributes:
        means: in words.
        wanted: at least so much.
        found: the best that was measured, or None where nothing was.
    """

    means: str
    wanted: float
    found: float | None

    def verdict(self, small: bool) -> str:
        """One word or a few."""
        if small:
            return "not judged: small form"
        if self.found is None:
            return "not measured"
        share = self.found / self.wanted
        return "met" if share >= 1 else f"missed ({share:.2f} of it)"


def targets(record: Record) -> list[Target]:
    """All targets."""
    utilised = [own["mfu"] for own in figures(record, "train_dit_b2_bf16").values()]
    return [
        Target("MFU of DiT-B/2 at 256-pixel latents in bfloat16", 0.5, _best(utilised)),
        *(
            Target(f"training step beside torch.compile: {name}", 1.1, _beside(record, section))
            for section, name in BESIDE.items()
        ),
        Target("eight small arms together over in turn: MLP", 4.0, _arms(record, "arms_mlp")),
    ]


BESIDE = {
    "torch_dit_b2_bf16": "DiT-B/2, bfloat16",
    "torch_dit_s2_bf16": "DiT-S/2, bfloat16",
    "torch_dit_xl2_bf16": "DiT-XL/2, bfloat16",
    "torch_unet_bf16": "U-Net, bfloat16",
}


def _best(values: list[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _beside(record: Record, section: str) -> float | None:
    own = figures(record, section).get(section)
    if own is None:
        return None
    return _best([each["ratio"] for each in own["times_faster"].values()])


def _arms(record: Record, section: str) -> float | None:
    own = figures(record, section).get(section)
    return None if own is None else float(own["times_faster"]["ratio"])
