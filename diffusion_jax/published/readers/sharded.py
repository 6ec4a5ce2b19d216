"""A model in several files, with an index in JSON of which file holds which tensor."""

import dataclasses
from typing import Any

from diffusion_jax.errors import UserError, shown
from diffusion_jax.published.readers import plain_json
from diffusion_jax.published.readers.base import PathContents, open_weights, readers
from diffusion_jax.published.readers.folder import beside
from diffusion_jax.published.readers.tensor import brief
from diffusion_jax.published.readers.weights import Weights

LONGEST = 100_000_000  # bytes of an index
MOST_SHARDS = 10_000


@readers.register("sharded")
@dataclasses.dataclass(frozen=True)
class Sharded:
    """An index of shards: `.safetensors.index.json`, `.bin.index.json`.

    Source: https://huggingface.co/docs/transformers/big_models
    """

    def recognises(self, found: PathContents) -> bool:
        """Whether it is JSON."""
        return plain_json.begins(found.head)

    def open(self, found: PathContents) -> Weights:
        """Opens every shard.

        Raises:
            UserError: the index is wrong, names a file that is not beside it, or is not true of a
                shard.
        """
        assert found.file is not None
        where = str(found.path)
        if found.file.size > LONGEST:
            raise UserError(f"{where} has {found.file.size:,} bytes, too many for an index.")
        text = found.file.cut(0, found.file.size)
        index = plain_json.table(plain_json.parsed(text, where), where)
        if "weight_map" not in index:
            raise UserError(f"{where} is JSON, but has no weight_map: it is no index of weights.")
        places = plain_json.table(index["weight_map"], f"{where}: weight_map")
        for name, file in places.items():
            if not isinstance(file, str):
                raise UserError(f"{where}: tensor {shown(name)} is in {brief(file)}, no file name.")
        files = dict.fromkeys(places.values())
        if len(files) > MOST_SHARDS:
            raise UserError(f"{where} names {len(files):,} files, more than {MOST_SHARDS:,}.")
        shards = {file: self._shard(found, file) for file in files}
        _check(where, places, shards)
        tensors = {name: shards[file][name] for name, file in places.items()}
        metadata = {**_of_all(shards), **plain_json.table(index.get("metadata", {}), where)}
        return Weights(found.path, "sharded", tensors, metadata)

    def _shard(self, found: PathContents, name: str) -> Weights:
        path = beside(found.path.parent, name, str(found.path))
        if self.recognises(PathContents.at(path)):
            raise UserError(f"{found.path} names {shown(name)}, which is an index too.")
        return open_weights(path)


def _check(where: str, places: dict[str, str], shards: dict[str, Weights]) -> None:
    for name, file in places.items():
        if name not in shards[file]:
            raise UserError(f"{where}: tensor {shown(name)} is missing in {file}.")
    for file, shard in shards.items():
        for name in shard:
            if places.get(name) != file:
                raise UserError(f"{where}: tensor {shown(name)} of {file} is not in the index.")


def _of_all(shards: dict[str, Weights]) -> dict[str, Any]:
    """What all shards say alike."""
    first, *rest = [dict(shard.metadata) for shard in shards.values()] or [{}]
    return {key: value for key, value in first.items() if all(m.get(key) == value for m in rest)}
