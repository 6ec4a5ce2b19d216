"""LoRA files of all conventions, against what diffusers and peft made of them (`record.lora`)."""

import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.networks.adapters.base import flat
from diffusion_jax.networks.adapters.lora import LoRA
from diffusion_jax.networks.unet2d.unet2d_condition import UNet2DCondition
from diffusion_jax.published.lora.keys import Modules, parsed
from diffusion_jax.published.lora.reading import with_lora
from diffusion_jax.published.lora.writing import write_lora
from diffusion_jax.published.model import ReleasedModel, released
from diffusion_jax.published.parts import Part
from diffusion_jax.published.readers import open_weights
from diffusion_jax.published.writing import part_tensors, write_safetensors
from diffusion_jax.sampling.loop import sample_keys

DATA = Path(__file__).parent / "data"
FOLDER, LORAS = DATA / "stable_diffusion", DATA / "lora"
CASES = json.loads((LORAS / "cases.json").read_text())
CONVENTIONS = pytest.mark.parametrize("name", sorted(p.stem for p in LORAS.glob("*.safetensors")))


@functools.cache
def plain() -> ReleasedModel:
    return released(FOLDER)


def tensors(model: ReleasedModel) -> dict[str, np.ndarray]:
    found = {}
    for name in ("unet", "text_encoder"):
        own = part_tensors(model.parts[name])
        found |= {f"{name}/{key.removeprefix('text_model.')}": own[key] for key in own}
    return found


@CONVENTIONS
def test_kernels_are_those_that_peft_merges(name: str) -> None:
    """And no others change."""
    before = tensors(plain())
    found = tensors(released(FOLDER, lora=LORAS / f"{name}.safetensors", lora_scale=CASES["scale"]))
    with np.load(LORAS / f"{name}.npz") as stored:
        merged = {key: stored[key] for key in stored.files if "/" in key}
    assert len(merged) > 20
    for key, value in found.items():
        wanted = merged.pop(key.replace("/text_model.", "/"), None)
        if wanted is None:
            np.testing.assert_array_equal(value, before[key], err_msg=key)
        else:
            assert np.abs(value - before[key]).max() > 1e-3
            np.testing.assert_allclose(value, wanted, rtol=0, atol=1e-6, err_msg=key)
    assert not merged


@CONVENTIONS
def test_what_is_drawn_is_what_diffusers_draws(name: str) -> None:
    model = released(FOLDER, lora=LORAS / f"{name}.safetensors", lora_scale=CASES["scale"])
    with np.load(LORAS / f"{name}.npz") as stored:
        noise, wanted = (jnp.moveaxis(stored[key], 1, -1) for key in ("noise", "latents"))
    size, nodes = (8, 16), model.nodes(CASES["steps"], (8, 16))
    solver = model.scheduler.solver(CASES["steps"])
    start = noise * model.scheduler.start_scale(nodes)
    keys = sample_keys(jax.random.key(0), len(noise))
    prompts, guidance = CASES["prompts"], CASES["guidance"]
    found = model.sample_from(start, prompts, keys, None, guidance, solver, nodes, size)
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * scale)


def test_a_scale_of_zero_changes_nothing() -> None:
    found = tensors(released(FOLDER, lora=LORAS / "peft.safetensors", lora_scale=0.0))
    jax.tree.map(np.testing.assert_array_equal, found, tensors(plain()))


def test_authors_names_of_sdxl_lead_to_the_same_modules() -> None:
    """Kohya's files name SDXL's blocks so; the numbers are those of its released U-Net."""
    network = UNet2DCondition(
        block_out_channels=(8, 16, 16),
        down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * 2),
        up_block_types=(*["CrossAttnUpBlock2D"] * 2, "UpBlock2D"),
        cross_attention_dim=8,
        attention_head_dim=2,
        norm_num_groups=4,
        use_linear_projection=True,
    )
    inputs = jax.tree.map(
        lambda x: jnp.zeros(x.shape, x.dtype), network.example({"in_channels": 4})
    )
    params = jax.eval_shape(network.init, jax.random.key(0), *inputs)["params"]
    modules = Modules({"unet": Part(network, params, {})}, "unet")
    theirs = {
        "input_blocks_0_0": None,
        "input_blocks_1_0_in_layers_2": "down_blocks.0/resnets.0/conv1",
        "input_blocks_3_0_op": "down_blocks.0/downsamplers.0/conv",
        "input_blocks_4_1_proj_in": "down_blocks.1/attentions.0/proj_in",
        "input_blocks_8_1_transformer_blocks_0_attn2_to_out_0": (
            "down_blocks.2/attentions.1/transformer_blocks.0/attn2/to_out.0"
        ),
        "input_blocks_7_0_emb_layers_1": "down_blocks.2/resnets.0/time_emb_proj",
        "middle_block_1_transformer_blocks_0_ff_net_0_proj": (
            "mid_block/attentions.0/transformer_blocks.0/ff.net.0.proj"
        ),
        "middle_block_2_out_layers_3": "mid_block/resnets.1/conv2",
        "output_blocks_2_1_proj_out": "up_blocks.0/attentions.2/proj_out",
        "output_blocks_2_2_conv": "up_blocks.0/upsamplers.0/conv",
        "output_blocks_6_0_skip_connection": "up_blocks.2/resnets.0/conv_shortcut",
        "output_blocks_8_0_in_layers_2": "up_blocks.2/resnets.2/conv1",
    }
    for name, module in theirs.items():
        key = parsed(f"lora_unet_{name}.lora_down.weight")
        assert key is not None
        found = modules.find(key)
        assert (found and "/".join(found[1])) == module, name


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("unet.mid_block.attn1.to_q.lora_A.weight", r"1 of 3 tensors .* have no place .*mid_block"),
        ("unet.conv_in.lora_magnitude_vector", r"no place in this model: 'unet.conv_in.lora_mag"),
        ("lora_unet_conv_in.hada_w1_a", "no place in this model: 'lora_unet_conv_in.hada_w1_a'"),
        ("text_encoder_2.encoder.lora_A.weight", "no place in this model: 'text_encoder_2"),
        ("unet.conv_out.lora_A.weight", "'unet.conv_out.lora_A.weight' without the other half"),
        ("unet.conv_out.alpha", "'unet.conv_out.alpha' without the other half"),
        ("lora_unet_conv_in.lora_up.weight", "two terms for one module"),
    ],
)
def test_what_has_no_place_is_refused_by_name(key: str, message: str, tmp_path: Path) -> None:
    held = {
        "unet.conv_in.lora_A.weight": np.zeros((2, 4, 3, 3), np.float32),
        "unet.conv_in.lora_B.weight": np.zeros((8, 2, 1, 1), np.float32),
        key: np.zeros((2, 4), np.float32),
    }
    file = write_safetensors(held, tmp_path / "x.safetensors")
    with pytest.raises(UserError, match=message):
        with_lora(plain().parts, "unet", file)


def test_other_shapes_and_scales_are_refused(tmp_path: Path) -> None:
    held = {
        "unet.conv_in.lora_A.weight": np.zeros((2, 4), np.float32),
        "unet.conv_in.lora_B.weight": np.zeros((8, 2), np.float32),
    }
    file = write_safetensors(held, tmp_path / "x.safetensors")
    with pytest.raises(UserError, match="do not make a kernel of shape"):
        with_lora(plain().parts, "unet", file)
    with pytest.raises(UserError, match="must be a finite number"):
        with_lora(plain().parts, "unet", file, float("nan"))
    with pytest.raises(UserError, match="none is named"):
        released(FOLDER, lora_scale=0.5)


DAMAGED: tuple[tuple[dict[str, np.ndarray], object, str], ...] = (
    ({"unet.conv_in.alpha": np.ones(2, np.float32)}, None, "has shape (2,), not one number"),
    ({"unet.conv_in.lora_A.weight": np.ones((), np.float32)}, None, "do not make a kernel"),
    ({"unet.conv_in.lora_A.weight": np.ones((0, 4, 3, 3), np.float32)}, None, "do not make a"),
    ({}, {"unet.lora_alpha": "much"}, "lora_alpha must be a number, not 'much'"),
    ({}, {"unet.alpha_pattern": {"(": 1}}, "its alpha_pattern '(' is none"),
    ({}, {"unet.alpha_pattern": {"conv_in": None}}, "lora_alpha must be a number, not None"),
    ({}, [1], "must be a JSON object, not [1]"),
)


@pytest.mark.parametrize(("changed", "told", "line"), DAMAGED, ids=range(len(DAMAGED)))
def test_damaged_terms_and_settings_are_refused_in_a_line(changed, told, line, tmp_path) -> None:
    held = {
        "unet.conv_in.lora_A.weight": np.zeros((2, 4, 3, 3), np.float32),
        "unet.conv_in.lora_B.weight": np.zeros((8, 2, 1, 1), np.float32),
    } | changed
    settings = {} if told is None else {"lora_adapter_metadata": json.dumps(told)}
    file = write_safetensors(held, tmp_path / "x.safetensors", settings)
    with pytest.raises(UserError) as refused:
        with_lora(plain().parts, "unet", file)
    assert line in str(refused.value) and "\n" not in str(refused.value)


def test_what_is_written_is_read_as_what_is_merged(tmp_path: Path) -> None:
    """Convolutions and dense layers, with an alpha that readers are not told."""
    model = plain()
    part = model.parts["unet"]
    adapter = LoRA(rank=3, alpha=5.0, targets=("to_k", "conv1", "proj_in"))
    frozen, trained = adapter.split(part.params, jax.random.key(0))
    rng = np.random.default_rng(0)
    trained = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), x.dtype), trained)
    file = write_lora(adapter, trained, part.module, "unet", tmp_path / "x.safetensors")
    assert all(key.startswith("unet.") and ".lora_" in key for key in open_weights(file))
    found = with_lora(model.parts, "unet", file, 1.0)["unet"].params
    wanted = adapter.merged(frozen, trained)
    changed = 0
    for path, leaf in flat(wanted).items():
        np.testing.assert_allclose(flat(found)[path], leaf, rtol=1e-5, atol=1e-5)
        changed += not np.array_equal(leaf, flat(part.params)[path])
    assert changed == sum(path[-1] == "down" for path in flat(trained))
