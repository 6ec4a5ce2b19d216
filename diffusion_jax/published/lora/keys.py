"""What tensors of LoRA files are called, and of which module of a model they are.

| convention           | key                                                                 |
|----------------------|---------------------------------------------------------------------|
| peft, diffusers      | `unet.MODULE.lora_A.weight`, `unet.MODULE.lora_B.weight`            |
| diffusers, older     | `unet.MODULE.lora.down.weight`, `unet.MODULE.lora.up.weight`        |
| diffusers, oldest    | `unet.ATTENTION.processor.to_q_lora.down.weight`                    |
| kohya                | `lora_unet_MODULE_WITH_UNDERSCORES.lora_down.weight`, and `.alpha`  |

Kohya's files of SDXL name the blocks of its U-Net as its authors do. Where no part of the model is
named, it is the network.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping

from diffusion_jax.networks.adapters.base import Path, flat
from diffusion_jax.published.names import Names, names_of
from diffusion_jax.published.parts import Part

DOWN, UP, ALPHA = "down", "up", "alpha"
SIDES = {"A": DOWN, "B": UP, "down": DOWN, "up": UP}
WEIGHT = ".weight"
TERMS = tuple(
    map(
        re.compile,
        (
            r"(?P<module>.+)\.lora_(?P<side>A|B)(\.[^.]+)?\.weight",
            r"(?P<module>.+)\.lora(_linear_layer)?\.(?P<side>down|up)\.weight",
            r"(?P<module>.+)\.lora_(?P<side>down|up)\.weight",
            r"(?P<module>.+?)(\.processor)?\.to_(?P<map>q|k|v|out)_lora\.(?P<side>down|up)\.weight",
        ),
    )
)
FACTOR = re.compile(r"(?P<module>.+?)(\.lora)?\.alpha")
KOHYA = re.compile(r"lora_(unet|transformer|te[123]?)_(?P<module>.+)")
ENCODERS = {
    "te": "text_encoder",
    "te1": "text_encoder",
    "te2": "text_encoder_2",
    "te3": "text_encoder_3",
}
PLAIN = "base_model.model."  # before the names of modules in peft's own files


@dataclasses.dataclass(frozen=True)
class TermKey:
    """What a key says.

    Attributes:
        modules: names by which the module may be known, that of its part before it.
        side: "down", "up" or "alpha".
    """

    modules: tuple[str, ...]
    side: str


def parsed(key: str) -> TermKey | None:
    """What a key of a LoRA file says; None if it is none of a low-rank term.

    >>> parsed("unet.mid_block.attn1.to_q.lora_A.weight")
    TermKey(modules=('unet.mid_block.attn1.to_q',), side='down')
    >>> parsed("unet.attn1.processor.to_out_lora.up.weight").modules
    ('unet.attn1.to_out', 'unet.attn1.to_out.0', 'unet.attn1.out_proj')
    >>> parsed("unet.mid_block.attn1.to_q.lora_magnitude_vector")
    """
    for form in TERMS:
        if found := form.fullmatch(key):
            module, side = found["module"], SIDES[found["side"]]
            if letter := found.groupdict().get("map"):
                ends = f"to_{letter}", f"to_{letter}.0", f"{letter}_proj"
                return TermKey(tuple(f"{module}.{end}" for end in ends), side)
            return TermKey((module,), side)
    found = FACTOR.fullmatch(key)
    return TermKey((found["module"],), ALPHA) if found else None


class Modules:
    """The modules of a model that have a kernel, by the names that LoRA files have for them.

    Args:
        parts: of the model.
        network: what that of its network is called.
    """

    def __init__(self, parts: Mapping[str, Part], network: str):
        self._network = network
        self._names: dict[str, Names] = {}
        self._known: dict[str, dict[str, Path]] = {}
        self._underscored: dict[str, dict[str, Path]] = {}
        for part, held in parts.items():
            names = names_of(held.module)
            tensors = {names.tensor(p): p[:-1] for p in flat(held.params) if p[-1] == "kernel"}
            known = {name.removesuffix(WEIGHT): path for name, path in tensors.items()}
            flattened = {name.replace(".", "_"): path for name, path in known.items()}
            if part == network:
                authors = {_authors(name, known): path for name, path in known.items()}
                flattened |= {name.replace(".", "_"): path for name, path in authors.items()}
            self._names[part], self._known[part] = names, known
            self._underscored[part] = flattened

    def find(self, key: TermKey) -> tuple[str, Path] | None:
        """The part and the module of it that a key is of; None if there is none."""
        for module in key.modules:
            if found := self._find(module):
                return found
        return None

    def _find(self, module: str) -> tuple[str, Path] | None:
        if kohya := KOHYA.fullmatch(module):
            part = ENCODERS.get(kohya[1], self._network)
            path = self._underscored.get(part, {}).get(kohya["module"])
            return (part, path) if path else None
        owners = [part for part in self._known if module.startswith(f"{part}.")]
        part = max(owners, key=len, default=self._network)
        inner = module.removeprefix(f"{part}.").removeprefix(PLAIN)
        inner = self._names[part].known(inner + WEIGHT).removesuffix(WEIGHT)
        path = self._known[part].get(inner)
        return (part, path) if path else None


# What modules within residual blocks are called by the authors of SDXL.
RESNET = {
    "conv1": "in_layers.2",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}


def _authors(name: str, known: Iterable[str]) -> str:
    """What a module of diffusers' U-Net is called in the file of its authors; the same if unknown.

    Blocks are numbered through all levels there, each with its layers and one that resizes.

    >>> known = ["down_blocks.0.resnets.0.conv1", "down_blocks.0.resnets.1.conv1"]
    >>> _authors("down_blocks.1.attentions.0.proj_in", known)
    'input_blocks.4.1.proj_in'
    >>> _authors("up_blocks.0.resnets.2.conv1", known), _authors("mid_block.resnets.1.conv2", known)
    ('output_blocks.2.0.in_layers.2', 'middle_block.2.out_layers.3')
    """
    layers = [re.match(r"down_blocks\.\d+\.resnets\.(\d+)\.", each) for each in known]
    each = max((int(found[1]) for found in layers if found), default=0) + 1
    found = re.fullmatch(
        r"(down|mid|up)_blocks?(?:\.(\d+))?\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\."
        r"(.+)",
        name,
    )
    if not found:
        return name
    side, level, kind, layer, rest = found.groups()
    block = int(level or 0) * (each + 1) + int(layer)
    if kind == "resnets":
        rest = RESNET.get(rest, rest)
    if side == "mid":
        return f"middle_block.{1 if kind == 'attentions' else 2 * int(layer)}.{rest}"
    if kind == "downsamplers":
        return f"input_blocks.{block + 1 + each}.0.op"
    if kind == "upsamplers":
        attends = any(other.startswith(f"up_blocks.{level}.attentions.") for other in known)
        return f"output_blocks.{block + each}.{1 + attends}.{rest}"
    inner = f"{int(kind == 'attentions')}.{rest}"
    return (
        f"input_blocks.{block + 1}.{inner}" if side == "down" else f"output_blocks.{block}.{inner}"
    )
