"""Encoders give what transformers gave with the same tensors."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.files import save
from diffusion_jax.networks.configurations import from_configuration
from diffusion_jax.networks.encoders import encoders
from diffusion_jax.networks.initialise import shapes
from diffusion_jax.published.names import names_of, to_params
from diffusion_jax.published.parts import read_part
from diffusion_jax.published.writing import export_part, part_tensors, write_safetensors
from tests.published.recorded import DATA, TENSORS

RECORDED = sorted((DATA / "encoders").glob("*.npz"))


def off(file: Path, dtype: str, against: str) -> float:
    """The largest error of anything that an encoder gives, relative to the root mean square.

    Args:
        file: what `record.encoders` wrote; its name is ENCODER_SEED.npz.
        dtype: of the computation.
        against: "f32" or "f64".
    """
    with np.load(file) as stored:
        arrays = dict(stored)
    configuration = json.loads(str(arrays["config"]))
    kind = encoders[file.stem.rpartition("_")[0]]
    encoder = from_configuration(kind, configuration, dtype=dtype)
    tensors = {k.removeprefix(TENSORS): v for k, v in arrays.items() if k.startswith(TENSORS)}
    wanted = shapes(encoder, *encoder.example(configuration))
    params = to_params(wanted, tensors, names_of(encoder), dtype)
    mask = arrays.get("in/attention_mask")
    mask = None if mask is None else mask.astype(bool)
    apply = jax.jit(encoder.apply, static_argnames="method")
    made, given, found = {}, {}, {}
    if "in/input_ids" in arrays:
        given["text_"] = jnp.asarray(arrays["in/input_ids"], jnp.int32)
    if "in/pixel_values" in arrays:
        given[""] = jnp.asarray(np.moveaxis(arrays["in/pixel_values"], 1, -1), dtype)
    for name, each in given.items():
        prefix = name if len(given) > 1 else ""
        found[name] = apply({"params": params}, each, mask if name else None)
        made |= {f"{prefix}tokens": found[name].tokens, f"{prefix}pooled": found[name].pooled}
        if len(given) == 1:
            made |= {f"hidden{i}": h for i, h in enumerate(found[name].hidden[:-1])}
    if len(given) > 1:
        vectors = [each.pooled for each in found.values()]
        made["alike"] = apply({"params": params}, *vectors, method="alike")
    made = {name: each for name, each in made.items() if each is not None}
    recorded = {k.partition("/")[2]: v for k, v in arrays.items() if k.startswith(f"{against}/")}
    assert made.keys() == recorded.keys()
    # What stands at tokens that nothing looks at, nothing reads.
    masked = {name for name in made if name == "text_tokens" or "in/pixel_values" not in arrays}
    masked -= {"pooled"} if mask is not None else masked
    seen = {name: mask if name in masked else slice(None) for name in made}
    return max(_off(made[k][seen[k]], recorded[k][seen[k]].astype(float)) for k in made)


def _off(found: jax.Array, recorded: np.ndarray) -> float:
    assert found.shape == recorded.shape, (found.shape, recorded.shape)
    return float(np.abs(found - recorded).max() / np.sqrt(np.mean(recorded**2)))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
@pytest.mark.parametrize(
    ("dtype", "against", "close"), [("float64", "f64", 1e-9), ("float32", "f32", 1e-4)]
)
def test_all_that_encoders_give_is_the_originals(
    file: Path, dtype: str, against: str, close: float
) -> None:
    assert off(file, dtype, against) < close


@pytest.mark.parametrize(
    ("stem", "holder", "prefix", "beside"),
    [
        ("t5_gemma_2", "T5GemmaEncoderModel", "encoder.", ""),
        ("t5_gemma_2", "T5GemmaForConditionalGeneration", "model.encoder.", "model.decoder.norm"),
        ("t5_6", "T5ForConditionalGeneration", "", "decoder.final_layer_norm"),
    ],
)
def test_an_encoder_is_read_out_of_what_holds_it_and_written_alone(
    tmp_path: Path, stem: str, holder: str, prefix: str, beside: str
) -> None:
    with np.load(DATA / "encoders" / f"{stem}.npz") as stored:
        arrays = dict(stored)
    own = json.loads(str(arrays["config"]))
    told = {"encoder": own} if holder.startswith("T5Gemma") else own
    tensors = {prefix + k.removeprefix(TENSORS): v for k, v in arrays.items() if TENSORS in k}
    if beside:
        tensors[f"{beside}.weight"] = np.ones(3, np.float16)
    write_safetensors(tensors, tmp_path / "model.safetensors")
    save(json.dumps(told | {"architectures": [holder]}), tmp_path / "config.json")
    part = read_part(tmp_path)
    assert part_tensors(part).keys() <= {k.removeprefix(TENSORS) for k in arrays if TENSORS in k}
    again = read_part(export_part(tmp_path, "float32", "", tmp_path / "alone"))
    assert type(again.module) is type(part.module) and again.module.original != holder
    for left, right in zip(*map(jax.tree.leaves, (part.params, again.params)), strict=True):
        np.testing.assert_array_equal(left, right)


def test_every_encoder_is_recorded() -> None:
    assert {file.stem.rpartition("_")[0] for file in RECORDED} == set(encoders)
