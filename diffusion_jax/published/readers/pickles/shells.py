"""Which classes and functions a pickle may ask for, and what plain data stand in their place.

Nothing is looked up in Python: a name that is not listed here is refused where it is asked for.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from diffusion_jax.errors import UserError
from diffusion_jax.published.readers.dtypes import BY_NAME
from diffusion_jax.published.readers.pickles.machine import LARGEST_KEY
from diffusion_jax.published.readers.pickles.values import (
    ByteRange,
    Name,
    PickledArray,
    PickledDtype,
    Record,
    Storage,
    StorageKind,
    stored_tensor,
)
from diffusion_jax.published.readers.tensor import brief

STORAGES = {
    **{"Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": "bfloat16"},
    **{"Long": "int64", "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8"},
    **{"Bool": "bool", "ComplexFloat": "complex64", "ComplexDouble": "complex128"},
    "Untyped": "uint8",
}
"""PyTorch's name of a storage, without "Storage" -> dtype"""

OTHER_NAMES = {
    "float": "float32",
    "double": "float64",
    "half": "float16",
    "long": "int64",
    "int": "int32",
    "short": "int16",
}

# Objects of these classes become records: their names, attributes and items.
RECORDS = (
    *(r"argparse\.Namespace", r"types\.SimpleNamespace", r"dnnlib\.util\.EasyDict"),
    r"collections\.(OrderedDict|defaultdict|Counter)",
    r"torch\.nn\.modules\.\w+\.[A-Z]\w*",
    r"(pytorch_lightning|lightning|lightning_fabric)(\.[a-z_]+)*\.[A-Z]\w*",
    r"omegaconf\.(dictconfig|listconfig|base|basecontainer|nodes)\.[A-Z]\w*",
    r"__torch__(\.\w+)+",  # of TorchScript, whose code lies in files that are not read
)
# These may be named, for what a mapping holds by default or an attribute is to be.
NAMED = (
    r"builtins\.(list|dict|int|long|float|str|unicode|bool|tuple|set|object|bytes)",
    *(r"typing\.Any", r"torch\.(cuda\.)?\w*Tensor", r"torch\.nn\.parameter\.(Parameter|Buffer)"),
    r"numpy\.ndarray",
)
LISTS = ("int", "double", "bool", "tensor")  # of TorchScript
OLD_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}
REBUILT = "torch._utils._rebuild_"  # how the names of functions begin that make tensors
PATHS = r"pathlib\.(Pure)?(Posix|Windows)?Path"


class Shells:
    """Answers a machine with plain data.

    Subclasses know where storages are: `storage` and, for pickles within pickles, `from_bytes`.
    """

    def find(self, name: Name, where: str) -> Any:
        """What stands for a class or function.

        Raises:
            UserError: it is none of those that files of weights need.
        """
        known = Name(_module(name.module), name.name)
        if (kind := _storage_kind(known)) is not None:
            return kind
        if known.module == "torch" and (dtype := _torch_dtype(known.name)) is not None:
            return dtype
        # A dotted name would be an attribute of something else.
        plain = known.name.isidentifier()
        if plain and (str(known) in FUNCTIONS or _matches(str(known), (*RECORDS, *NAMED, PATHS))):
            return known
        raise UserError(
            f"{where} asks for {brief(str(name))[1:-1]}: only tensors, plain containers and a few "
            "known classes are read, and nothing that a file holds is run."
        )

    def call(self, function: Any, arguments: tuple[Any, ...], where: str) -> Any:
        """What stands for the result of a call, or for an object of a class.

        Raises:
            UserError: what is called is none, or not with such arguments.
        """
        if not isinstance(function, Name):
            raise UserError(f"{where} calls {brief(function)}, which is no function.")
        name = str(function)
        if name in FUNCTIONS:
            try:
                return FUNCTIONS[name](self, where, *arguments)
            except TypeError as error:
                told = f"{name} with {len(arguments)} arguments"
                raise UserError(f"{where} calls {told}, which is not read.") from error
        if re.fullmatch(PATHS, name):
            return "/".join(str(part) for part in arguments if isinstance(part, str))
        if _matches(name, RECORDS):
            return _record(name, arguments, where)
        raise UserError(f"{where} calls {name}, which is not read.")

    def persistent(self, identity: Any, where: str) -> Any:
        """What stands for an object that is kept outside of the pickle: here there is none."""
        raise UserError(f"{where} asks for an object outside of it, {brief(identity)}.")

    def from_bytes(self, span: ByteRange, where: str) -> Any:
        """What is in a pickle that lies within this one: here there is none."""
        raise UserError(f"{where} holds another pickle, which is not read.")


def storage_of(identity: Any, where: str) -> tuple[Storage, str, Any]:
    """What PyTorch says of a storage that is kept outside of a pickle.

    Args:
        identity: ("storage", kind, key, device, count), and perhaps of which other it is a part.
        where: for the message.

    Returns:
        The storage, its key, and None or (key, offset, count) of the view that it is.

    Raises:
        UserError: it is something else.
    """
    if not (isinstance(identity, tuple) and len(identity) in (5, 6) and identity[0] == "storage"):
        raise UserError(f"{where} asks for an object outside of it, {brief(identity)}.")
    kind, key, count = identity[1], identity[2], identity[4]
    right = isinstance(kind, StorageKind) and isinstance(key, str)
    if not right or type(count) is not int or not 0 <= count < 2**60:
        raise UserError(f"{where} has a storage that is none: {brief(identity)}.")
    return Storage(kind.dtype, count), key, identity[5] if len(identity) == 6 else None


def _called(kind: Any) -> str:
    return brief(str(kind) if isinstance(kind, Name) else kind)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(re.fullmatch(pattern, name) for pattern in patterns)


def _module(module: str) -> str:
    """Today's name of a module."""
    module = OLD_MODULES.get(module, module)
    return re.sub(r"^numpy\.core\b", "numpy._core", module)


def _storage_kind(name: Name) -> StorageKind | None:
    if name.module not in ("torch", "torch.storage", "torch.cuda"):
        return None
    kind = STORAGES.get(name.name.removesuffix("Storage"))
    return StorageKind(BY_NAME[kind]) if kind and name.name.endswith("Storage") else None


def _torch_dtype(name: str) -> np.dtype | None:
    return BY_NAME.get(OTHER_NAMES.get(name, name))


def _record(name: str, arguments: tuple[Any, ...], where: str) -> Record:
    """An object without its class; a mapping that is made of pairs has them as items."""
    if name == "collections.OrderedDict" and len(arguments) == 1 and type(arguments[0]) is list:
        record = Record(name)
        for pair in arguments[0]:
            if not (isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str)):
                raise UserError(f"{where} makes a mapping of what are no pairs.")
            record.items[pair[0]] = pair[1]
        return record
    return Record(name, arguments)


# What functions give, each called with the shells and the place for messages first


def _tensor(
    shells: Shells, where: str, storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any
) -> Any:
    if not isinstance(storage, Storage):
        raise UserError(f"{where} has a tensor without a storage.")
    return stored_tensor(storage, storage.dtype, offset, shape, strides, where)


def _tensor_of_dtype(
    shells: Shells,
    where: str,
    storage: Any,
    offset: Any,
    shape: Any,
    strides: Any,
    trained: Any,
    hooks: Any,
    dtype: Any,
    *rest: Any,
) -> Any:
    if not isinstance(dtype, np.dtype):
        raise UserError(f"{where} has a tensor of dtype {brief(dtype)}, which is not read.")
    return stored_tensor(storage, dtype, offset, shape, strides, where)


def _with_class(
    shells: Shells, where: str, function: Any, kind: Any, arguments: Any, state: Any
) -> Any:
    """A tensor with attributes of its own, which are left out, or of a class of its own."""
    plain = ("torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer")
    named = isinstance(kind, Name) and isinstance(function, Name)
    if not named or str(kind) not in plain or not str(function).startswith(REBUILT):
        raise UserError(f"{where} has a tensor of class {_called(kind)}, which is not read.")
    return shells.call(function, arguments, where)


def _persistent(shells: Shells, where: str, told: Any) -> Record:
    """An object of NVIDIA's persistent classes, whose source lies in the file and stays unread."""
    told = told.items if isinstance(told, Record) else told
    if not (isinstance(told, dict) and isinstance(told.get("class_name"), str)):
        raise UserError(f"{where} has a persistent object without a class.")
    record = Record(told["class_name"])
    record.build(told.get("state"), where)
    return record


def _reconstructed(shells: Shells, where: str, kind: Any, base: Any, state: Any) -> Record:
    if not (isinstance(kind, Name) and _matches(str(kind), RECORDS)):
        raise UserError(f"{where} makes a {_called(kind)}, which is not read.")
    record = Record(str(kind))
    record.build(state, where)
    return record


def _encoded(shells: Shells, where: str, text: Any, encoding: Any = "utf-8") -> bytes:
    """The bytes that old protocols write as text."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise UserError(f"{where} has bytes in the encoding {brief(encoding)}.")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise UserError(f"{where} has bytes that are none.") from error


def _array_in(
    shells: Shells, where: str, data: Any, dtype: Any, shape: Any, order: Any = "C"
) -> PickledArray:
    array = PickledArray()
    array.fill(shape, dtype, order == "F", data, where)
    return array


def _scalar(shells: Shells, where: str, dtype: Any, data: Any) -> PickledArray:
    array = PickledArray()
    array.fill((), dtype, False, data, where)
    return array


def _dtype(shells: Shells, where: str, name: Any, *rest: Any) -> PickledDtype:
    if not isinstance(name, str):
        raise UserError(f"{where} has a dtype of NumPy that is none.")
    return PickledDtype(name)


def _set(shells: Shells, where: str, items: Any = ()) -> Any:
    if not isinstance(items, list | tuple | set | frozenset):
        raise UserError(f"{where} has a set of {brief(items)}.")
    for item in items:
        basic = isinstance(item, str | int | float | bool | None)
        if not basic or (isinstance(item, int) and abs(item) >= LARGEST_KEY):
            raise UserError(f"{where} has a set of other things than basic values.")
    return set(items)


def _plain(shells: Shells, where: str, value: Any, *rest: Any) -> Any:
    """The first argument itself."""
    return value


def _device(shells: Shells, where: str, kind: Any, index: Any = None) -> str:
    told = [part for part in (kind, index) if isinstance(part, str | int)]
    return ":".join(str(part)[:20] for part in told)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of_dtype,
    "torch._utils._rebuild_parameter": _plain,
    "torch._utils._rebuild_parameter_with_state": _plain,
    "torch._tensor._rebuild_from_type_v2": _with_class,
    "torch.storage._load_from_bytes": lambda shells, where, data: shells.from_bytes(data, where),
    "torch.serialization._get_layout": _plain,
    **{f"torch.jit._pickle.build_{kind}list": _plain for kind in LISTS},
    "torch.jit._pickle.restore_type_tag": _plain,
    "torch.Size": _plain,
    "torch.device": _device,
    "torch_utils.persistence._reconstruct_persistent_obj": _persistent,
    "copyreg._reconstructor": _reconstructed,
    "_codecs.encode": _encoded,
    "numpy.dtype": _dtype,
    "numpy._core.multiarray._reconstruct": lambda shells, where, *rest: PickledArray(),
    "numpy._core.multiarray.scalar": _scalar,
    "numpy._core.numeric._frombuffer": _array_in,
    "builtins.set": _set,
    "builtins.frozenset": _set,
}
