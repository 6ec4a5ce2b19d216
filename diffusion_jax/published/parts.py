"""The parts of a released model: a module with its parameters, from a folder of diffusers' form.

unet/config.json                             the class and its settings
unet/diffusion_pytorch_model.safetensors     its tensors, in whatever format is read
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import Sharding
from jaxtyping import PyTree

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.networks.autoencoders import autoencoders
from diffusion_jax.networks.base import networks
from diffusion_jax.networks.configurations import ReleasedModule, from_configuration
from diffusion_jax.networks.encoders import encoders
from diffusion_jax.networks.initialise import shapes
from diffusion_jax.published.halves import half_configuration, half_module, half_tensors
from diffusion_jax.published.names import names_of, to_params
from diffusion_jax.published.readers import Tensor, open_weights
from diffusion_jax.published.readers.plain_json import parsed, table
from diffusion_jax.registry import Registry

CONFIG = "config.json"
FAMILIES: tuple[Registry[Any], ...] = (networks, autoencoders, encoders)


@dataclasses.dataclass(frozen=True)
class Part:
    """One module of a released model.

    Attributes:
        module: with the settings of the original.
        params: its parameters.
        configuration: the original's settings of it.
    """

    module: Any
    params: PyTree = dataclasses.field(repr=False)
    configuration: Mapping[str, Any] = dataclasses.field(repr=False)


def originals() -> dict[str, type[nn.Module]]:
    """Class of the original library -> our member that is the same, or that it holds."""
    members = [family[name] for family in FAMILIES for name in family]
    found: dict[str, type[nn.Module]] = {}
    for member in members:
        if isinstance(member, type) and hasattr(member, "original"):
            found |= dict.fromkeys((member.original, *getattr(member, "holders", ())), member)
    return found


def read_json(path: Path) -> dict[str, Any]:
    """What a JSON file of a model's folder holds.

    Raises:
        UserError: there is none, or it is no JSON object.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"There is no {path}.") from None
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from None
    return table(parsed(text, str(path), infinities=True), str(path))


def class_of(configuration: Mapping[str, Any], where: str) -> str:
    """The original class that a configuration is of.

    Raises:
        UserError: it names none.
    """
    several = configuration.get("architectures")
    first = several[0] if isinstance(several, list | tuple) and several else None
    named = configuration.get("_class_name") or first
    if not isinstance(named, str):
        raise UserError(f"{where} does not say of which class it is (_class_name).")
    return named


def make_module(configuration: Mapping[str, Any], where: str, **settings: Any) -> Any:
    """The module that a configuration is of, with its settings.

    Args:
        configuration: the original's.
        where: what it is, for messages.
        settings: further fields, such as the dtype.

    Raises:
        UserError: a class or a setting that is not known.
    """
    known = originals()
    kind = known[one_of(class_of(configuration, where), known, "class of a released model")]
    return from_configuration(kind, own_settings(configuration, where), **settings)


def own_settings(configuration: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """What a configuration says of our member, where its class is of one that holds it."""
    named = class_of(configuration, where)
    inner = getattr(originals().get(named), "holders", {}).get(named)
    return table(configuration.get(inner), f"{inner!r} of {where}") if inner else configuration


def parameter_shapes(module: Any, configuration: Mapping[str, Any]) -> PyTree:
    """Shapes and dtypes of a module's parameters, of which nothing is made."""
    if not isinstance(module, ReleasedModule) or not isinstance(module, nn.Module):
        raise UserError(f"{type(module).__name__} does not say what its inputs look like.")
    return shapes(module, *module.example(configuration))


def read_part(
    folder: Path,
    dtype: str = "float32",
    variant: str = "",
    sharding: Sharding | None = None,
    half: str = "",
) -> Part:
    """Reads a module with its parameters.

    Args:
        folder: with its config.json and its weights.
        dtype: of the parameters and of the computation.
        variant: which of several files of weights, such as "fp16".
        sharding: where the parameters are to live; None is the default device.
        half: of CLIP, "text" or "pictures"; "" is the whole.

    Raises:
        UserError: something is missing, is damaged or left over, or is not known.
    """
    path = folder / CONFIG
    whole = read_json(path)
    module = make_module(whole, str(path), dtype=dtype)
    configuration = own_settings(whole, str(path))
    weights = open_weights(folder, variant)
    tensors: Mapping[str, Tensor] = weights
    if half:
        module = half_module(module, half)
        configuration, tensors = half_configuration(module), half_tensors(weights, half)
    wanted = parameter_shapes(module, configuration)
    try:
        params = to_params(wanted, tensors, names_of(module), jnp.dtype(dtype), sharding)
    except UserError as error:
        raise UserError(f"{weights.path}: {error}") from None
    return Part(module, jax.tree.map(jnp.asarray, params), configuration)
