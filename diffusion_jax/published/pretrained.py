"""Released networks to train further: `network="released(path=…)"` in a config, or from Python."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.files import user_path
from diffusion_jax.networks.adapters.base import BACKBONE, Adapter, Params, adapters
from diffusion_jax.networks.adapters.parts import Parts
from diffusion_jax.networks.adapters.pretrained import Pretrained
from diffusion_jax.networks.base import networks
from diffusion_jax.networks.conditioners import Conditioner
from diffusion_jax.networks.configurations import CHANNELS
from diffusion_jax.networks.score_network import ScoreNetwork
from diffusion_jax.process.objective import Objective
from diffusion_jax.published.checkpoint import card_module, card_process, read_checkpoint
from diffusion_jax.published.folder import INDEX, SCHEDULER, read_index
from diffusion_jax.published.identify import card_of
from diffusion_jax.published.parts import CONFIG, make_module, read_json, read_part
from diffusion_jax.published.pipelines import pipelines
from diffusion_jax.published.pipelines.base import process_of
from diffusion_jax.published.schedulers import ReleasedProcess
from diffusion_jax.registry import Spec, parse, spec_text

RELEASED = "released"  # the name of the network, and the word for what it was trained with

Train = str | tuple[str, ...] | Adapter
"""Names of parameters, as of `Parts`; "" is all; or an adapter."""


@dataclasses.dataclass(frozen=True)
class NetworkSource:
    """Where a released network is.

    Attributes:
        folder: of the model, or the file of a checkpoint.
        card: that explains a checkpoint; "" is the one that fits it.
        variant: which of several files of weights.
    """

    folder: Path
    card: str = ""
    variant: str = ""

    @property
    def _of_card(self) -> bool:
        return bool(self.card) or not (self.folder / INDEX).exists()

    @functools.cached_property
    def part(self) -> Path:
        """The folder of the network within that of the model.

        Raises:
            UserError: it is a checkpoint, which has no parts, or names no network.
        """
        if self._of_card:
            raise UserError(f"{self.folder} is a checkpoint, whose parts have no names.")
        index = read_index(self.folder)
        name: str = pipelines.make(one_of(index.kind, pipelines, "pipeline")).network
        if name not in index.parts:
            raise UserError(f"{self.folder / INDEX} names no part {name!r}.")
        return self.folder / name

    def module(self, dtype: str = "float32") -> nn.Module:
        """The network, which computes in a dtype.

        Raises:
            UserError: there is none, or one that is not known.
        """
        if self._of_card:
            return card_module(card_of(self.folder, self.card), dtype=dtype)
        told = self.configuration
        module: nn.Module = make_module(told, str(self.part / CONFIG), dtype=dtype)
        return module

    @property
    def configuration(self) -> Mapping[str, Any]:
        """The original's."""
        if self._of_card:
            return card_of(self.folder, self.card).network.configuration
        return read_json(self.part / CONFIG)

    def outputs(self) -> int:
        """Channels of its result for each of x: 2, if it tells a variance."""
        given, made = (self.configuration.get(name) for name in CHANNELS)
        if given and made:
            return max(1, int(made) // int(given))
        return int(getattr(self.module(), "outputs", 1))

    def process(self) -> ReleasedProcess:
        """The process that it was trained on.

        Raises:
            UserError: it is not known, or something in it cannot be honoured.
        """
        if self._of_card:
            return card_process(card_of(self.folder, self.card))
        pipeline = pipelines.make(read_index(self.folder).kind)
        return process_of(read_json(self.folder / SCHEDULER), pipeline)

    def params(self) -> Params:
        """Its parameters in single precision, as a `ScoreNetwork` has them.

        Raises:
            UserError: something is missing, damaged or left over, or there is no memory for it.
        """
        if self._of_card:
            _, parts, _ = read_checkpoint(self.folder, card_of(self.folder, self.card))
            (part,) = parts.values()
        else:
            part = read_part(self.part, "float32", self.variant)
        return {BACKBONE: part.params}


@networks.register(RELEASED)
def released_network(
    path: str,
    train: Train = "",
    card: str = "",
    variant: str = "",
    dtype: str = "float32",
    outputs: int = 1,
) -> nn.Module:
    """The network of a released model; training starts from its parameters.

    Args:
        path: of a model's folder as diffusers writes it, or of a checkpoint of which a card is
            known.
        train: what of it is trained: regular expressions that names of parameters contain, such as
            "attn2", of which each must be found; "" for all; or an adapter, such as `lora(rank=8)`.
        card: that explains a checkpoint; "" is the one that fits it.
        variant: which of several files of weights, such as "fp16".
        dtype: of the computation.
        outputs: as the released network has them, whatever is asked for.

    Raises:
        UserError: there is no such model, or one that is not known.
    """
    return NetworkSource(user_path(path), card, variant).module(dtype)


def is_released(network: str) -> bool:
    """Whether a spec is of a released network."""
    return parse(network, "network").name == RELEASED


def source_of(network: str) -> NetworkSource:
    """Where the network of a spec is.

    Raises:
        UserError: it is no released one.
    """
    told = parse(network, "network")
    if told.name != RELEASED:
        raise UserError(
            f"The word 'released' is for what a released network was trained with, and the network "
            f"is {network!r}: name a schedule, a prediction and a preconditioning, or set "
            "network=released(path=…)."
        )
    given = {name: str(told.settings.get(name, "")) for name in ("card", "variant")}
    return NetworkSource(user_path(str(told.settings.get("path", ""))), **given)


def pretrained_of(network: str, built: ScoreNetwork) -> Pretrained:
    """What training starts from by a spec of a released network.

    Args:
        network: the spec.
        built: the same with its conditioner.
    """
    settings = parse(network, "network").settings
    return _pretrained(source_of(network), built, settings.get("train", ""))


def pretrained(
    path: str | Path,
    train: Train | str = "",
    *,
    conditioner: Conditioner | None = None,
    card: str = "",
    variant: str = "",
    dtype: str = "float32",
) -> Pretrained:
    """A released network to train further: give it to an `Arm` as its network.

    Args:
        path: as of `released`.
        train: what of it is trained, as in a config's `released(path=…, train=…)`: names of
            parameters, an adapter or its spec; "" is all.
        conditioner: what reads the condition for it, such as `dj.conditioners.OneHot()`.
        card: that explains a checkpoint; "" is the one that fits it.
        variant: which of several files of weights, such as "fp16".
        dtype: of the computation.

    Raises:
        UserError: there is no such model, or one that is not known.
    """
    source = NetworkSource(user_path(path), card, variant)
    built = ScoreNetwork(source.module(dtype), conditioner)
    return _pretrained(source, built, train)


def _pretrained(source: NetworkSource, built: ScoreNetwork, train: Any) -> Pretrained:
    adapter: Adapter | None
    if isinstance(train, Spec):
        adapter = adapters.make(spec_text(train))
    elif isinstance(train, str | tuple):
        adapter = Parts(train) if train else None
    else:
        adapter = train
    process = source.process()
    objective = Objective(
        process.schedule,
        process.prediction,
        sigma_data=process.sigma_data,
        preconditioning=process.preconditioning,
    )
    return Pretrained(
        built, objective, source.params, str(source.folder), source.outputs(), adapter
    )


def released_objective(network: str, told: dict[str, Any]) -> Objective:
    """An objective some of whose parts are those that a released network was trained with.

    Args:
        network: spec of the network.
        told: arguments of `Objective.make`, of which some are the word "released".

    Raises:
        UserError: the network is no released one, or a spec is wrong.
    """
    process = source_of(network).process()
    own = {
        "schedule": process.schedule,
        "prediction": process.prediction,
        "preconditioning": process.preconditioning,
    }
    return Objective.make(**told | {k: v for k, v in own.items() if told[k] == RELEASED})
