"""Which tensor of a released file a parameter is, by one rule for all networks.

A network that others have released gives its modules the original's names, so that the path of a
parameter, joined with dots, is the name of the tensor. Only what the two worlds call and lay out
differently is translated here:

| parameter             | tensor                 |
|-----------------------|------------------------|
| kernel (…, in, out)   | weight (out, in, …)    |
| scale                 | weight                 |
| embedding             | weight                 |
| any other             | the same               |
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Sharding
from jax.typing import DTypeLike
from jaxtyping import Array, PyTree

from diffusion_jax.errors import UserError, nearest
from diffusion_jax.published.place import TensorSource, place

WEIGHT = ("kernel", "scale", "embedding")
SHOWN = 5  # names in a message


@dataclasses.dataclass(frozen=True)
class Names:
    """What a network's names differ in from the original's, besides the rule.

    Attributes:
        renamed: (pattern, replacement) for `re.sub`, applied in turn to the name that the rule
            gives.
        unused: patterns of whole names of tensors that the network has no use for, such as tables
            that can be computed.
        aliases: (pattern, replacement) for `re.sub`, applied in turn to the names of a file: what
            other versions of the original call the tensors.
    """

    renamed: tuple[tuple[str, str], ...] = ()
    unused: tuple[str, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()

    def tensor(self, path: Iterable[str]) -> str:
        """The name of the tensor that a parameter is.

        Args:
            path: names of modules, and of the parameter last.

        >>> Names().tensor(("down.0", "conv", "kernel")), Names().tensor(("pos_embed",))
        ('down.0.conv.weight', 'pos_embed')
        >>> Names(renamed=((r"^model[.]", ""),)).tensor(("model", "norm", "scale"))
        'norm.weight'
        """
        *modules, leaf = path
        return _renamed(".".join([*modules, "weight" if leaf in WEIGHT else leaf]), self.renamed)

    def known(self, name: str) -> str:
        """The name that a tensor of a file has here.

        >>> Names(aliases=(("gamma$", "weight"),)).known("norm.gamma")
        'norm.weight'
        """
        return _renamed(name, self.aliases)

    def is_unused(self, name: str) -> bool:
        """Whether the network has no use for a tensor of that name."""
        return any(re.fullmatch(pattern, name) for pattern in self.unused)


def names_of(network: Any) -> Names:
    """The names of a network, whose class may have the attributes of `Names`."""
    found = {each.name: getattr(type(network), each.name, ()) for each in dataclasses.fields(Names)}
    return Names(**found)


def _renamed(name: str, renames: Iterable[tuple[str, str]]) -> str:
    for pattern, replacement in renames:
        name = re.sub(pattern, replacement, name)
    return name


def to_params(
    shapes: PyTree,
    tensors: Mapping[str, TensorSource],
    names: Names = Names(),
    dtype: DTypeLike | None = None,
    sharding: Sharding | None = None,
) -> PyTree[Array]:
    """The parameters that the tensors of a file are.

    Each part of a parameter is read when it is placed, so that memory holds the parameters and one
    tensor.

    Args:
        shapes: the parameters' shapes, as `jax.eval_shape` gives them; leaves may have a sharding.
        tensors: by name.
        names: how the network's names differ from the original's.
        dtype: of the parameters; None is as in the file.
        sharding: of leaves that have none of their own; None is the default device.

    Raises:
        UserError: a tensor is missing, is left over, or has another shape.

    >>> shapes = {"proj": {"kernel": jax.ShapeDtypeStruct((3, 2), np.float32)}}
    >>> to_params(shapes, {"proj.weight": np.ones((2, 3), np.float32)})["proj"]["kernel"].shape
    (3, 2)
    """
    flat, structure = jax.tree_util.tree_flatten_with_path(shapes)
    paths = [tuple(str(key.key) for key in path) for path, _ in flat]
    wanted = {names.tensor(path): path for path in paths}
    tensors = {names.known(name): tensor for name, tensor in tensors.items()}
    _check_names(wanted, tensors, names)
    leaves = []
    for path, (_, leaf) in zip(paths, flat, strict=True):
        name = names.tensor(path)
        own = getattr(leaf, "sharding", None) or sharding
        leaves.append(_placed(name, path, leaf.shape, tensors[name], dtype, own))
    return jax.tree.unflatten(structure, leaves)


def parameter_names(shapes: PyTree, names: Names = Names()) -> dict[str, int]:
    """The names of parameters' tensors in the original's file, and how many axes they have.

    >>> parameter_names({"proj": {"kernel": jax.ShapeDtypeStruct((3, 2), np.float32)}})
    {'proj.weight': 2}
    """
    flat, _ = jax.tree_util.tree_flatten_with_path(shapes)
    return {names.tensor([str(key.key) for key in path]): len(leaf.shape) for path, leaf in flat}


def to_tensors(params: PyTree, names: Names = Names()) -> dict[str, np.ndarray]:
    """The tensors that parameters are in the original's file: what `to_params` reads.

    >>> tensors = to_tensors({"conv": {"kernel": np.zeros((3, 3, 4, 8))}})
    >>> tensors["conv.weight"].shape
    (8, 4, 3, 3)
    """
    flat, _ = jax.tree_util.tree_flatten_with_path(params)
    found = {}
    for path, leaf in flat:
        keys = tuple(str(key.key) for key in path)
        axes = tensor_axes(keys[-1], np.ndim(leaf))
        found[names.tensor(keys)] = np.asarray(leaf).transpose(axes)
    return found


def tensor_axes(leaf: str, ndim: int) -> tuple[int, ...]:
    """Which axis of a parameter each axis of its tensor is.

    >>> tensor_axes("kernel", 4), tensor_axes("bias", 1)
    ((3, 2, 0, 1), (0,))
    """
    if leaf != "kernel" or ndim < 2:
        return tuple(range(ndim))
    return (ndim - 1, ndim - 2, *range(ndim - 2))


def _placed(
    name: str,
    path: tuple[str, ...],
    shape: tuple[int, ...],
    tensor: TensorSource,
    dtype: DTypeLike | None,
    sharding: Sharding | None,
) -> Array:
    axes = tensor_axes(path[-1], len(shape))
    expected = tuple(shape[axis] for axis in axes)
    if tuple(tensor.shape) != expected:
        raise UserError(
            f"Tensor {name!r} has shape {tuple(tensor.shape)}, and the network needs {expected}: "
            "this is another size of the network, or another network."
        )
    turned = tensor.transpose(tuple(np.argsort(axes).tolist()))
    wanted = jax.dtypes.canonicalize_dtype(tensor.dtype if dtype is None else dtype)
    like = jax.ShapeDtypeStruct(shape, wanted, sharding=sharding)
    return place(turned, like)


def unplaced(
    wanted: Iterable[str], tensors: Iterable[str], names: Names = Names()
) -> tuple[list[str], list[str]]:
    """The names that a network needs and a file lacks, and those that it has no place for.

    Args:
        wanted: names of the network's tensors.
        tensors: of the file, as the network calls them.
        names: how the network's names differ from the original's.

    >>> unplaced(["a.weight", "a.bias"], ["a.weight", "b.weight"])
    (['a.bias'], ['b.weight'])
    """
    wanted, tensors = dict.fromkeys(wanted), dict.fromkeys(tensors)
    missing = [name for name in wanted if name not in tensors]
    left = [name for name in tensors if name not in wanted and not names.is_unused(name)]
    return missing, left


def _check_names(
    wanted: Mapping[str, tuple[str, ...]], tensors: Mapping[str, TensorSource], names: Names
) -> None:
    missing, left = unplaced(wanted, tensors, names)
    if missing:
        raise UserError(
            f"{_count(missing, len(wanted))} that the network needs are not in the file: "
            f"{listed(missing)}.{nearest(missing[0], left)}"
        )
    if left:
        raise UserError(
            f"{_count(left, len(tensors))} of the file have no place in the network: "
            f"{listed(left)}. This is another network, or it has other settings."
        )


def _count(some: list[str], total: int) -> str:
    return f"{len(some)} of {total} tensors"


def listed(names: list[str]) -> str:
    """The first few of some names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(repr, names[:SHOWN])) + more
