"""Records what small encoders of transformers give, for tests without it.

    PYTHON -m tests.published.record.encoders DIR [--seed=0] [--only=clip_text]

PYTHON has torch 2.13 and transformers 5.24. Each encoder has settings drawn by the seed and random
parameters, which are kept as float16 and are exact.
"""

import argparse
import contextlib
import json
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import transformers
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional
from transformers.models.t5 import modeling_t5
from transformers.models.t5gemma import modeling_t5gemma

from tests.published.record.recording import randomise

Given = dict[str, torch.Tensor]
KINDS: dict[str, Callable[[random.Random], tuple[nn.Module, Given]]] = {}


def kind(make: Callable[..., Any]) -> Callable[..., Any]:
    """Adds a maker of small models under its name."""
    KINDS[make.__name__] = make
    return make


def record(name: str, seed: int) -> dict[str, np.ndarray]:
    """A small encoder: its settings, its tensors, what goes in and what comes out."""
    torch.manual_seed(seed)
    model, given = KINDS[name](random.Random(seed))
    with torch.no_grad():
        model.eval()
        randomise(model)
        found = {f"sd/{k}": v for k, v in written(model).items()}
        found |= {f"in/{k}": v.numpy() for k, v in given.items()}
        call = both if "input_ids" in given and "pixel_values" in given else outputs
        found |= {f"f32/{k}": v for k, v in call(model, given).items()}
        wide = {k: v.double() if v.is_floating_point() else v for k, v in given.items()}
        with in_double():
            found |= {f"f64/{k}": v for k, v in call(model.double(), wide).items()}
    found["config"] = np.array(json.dumps(model.config.to_dict()))
    return found


def written(model: nn.Module) -> dict[str, np.ndarray]:
    """The tensors by the names of the original's files, which are not those of its modules."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return {k: v.half().numpy() for k, v in load_file(f"{folder}/model.safetensors").items()}


@contextlib.contextmanager
def in_double() -> Iterator[None]:
    """Lets the originals take in double what they take in float32 whatever the model's dtype."""
    soft, resampled = functional.softmax, functional.interpolate

    def softmax(x: torch.Tensor, dim: int, dtype: Any = None) -> torch.Tensor:
        return soft(x, dim)

    def interpolate(x: torch.Tensor, **settings: Any) -> torch.Tensor:
        return resampled(x.double(), **settings)

    with (
        mock.patch.object(modeling_t5.T5LayerNorm, "forward", t5_norm),
        mock.patch.object(modeling_t5gemma.T5GemmaRMSNorm, "forward", gemma_norm),
        mock.patch.object(modeling_t5gemma.T5GemmaRotaryEmbedding, "forward", gemma_rotation),
        mock.patch.object(functional, "softmax", softmax),
        mock.patch.object(functional, "interpolate", interpolate),
    ):
        yield


def t5_norm(self: Any, h: torch.Tensor) -> torch.Tensor:
    """T5's norm."""
    mean = h.pow(2).mean(-1, keepdim=True)
    return self.weight * (h * torch.rsqrt(mean + self.variance_epsilon))


def gemma_norm(self: Any, h: torch.Tensor) -> torch.Tensor:
    """T5Gemma's norm."""
    return self._norm(h) * (1 + self.weight)


def gemma_rotation(self: Any, h: torch.Tensor, places: torch.Tensor) -> tuple[Any, Any]:
    """T5Gemma's cosines and sines of angles in float32, rounded once, whatever the processor."""
    width, base = self.config.head_dim, self.config.rope_parameters["rope_theta"]
    pace = 1 / base ** (torch.arange(0, width, 2).double() / width)
    angle = (places[..., None].float() * pace.float()).double()
    angle = torch.cat([angle, angle], -1)
    return angle.cos().float().to(h.dtype), angle.sin().float().to(h.dtype)


def outputs(model: nn.Module, given: Given) -> dict[str, np.ndarray]:
    """Last and all hidden states, and one vector for all, projected where the model does so."""
    result = model(**given, output_hidden_states=True)
    # The last is before the last norm in some models and after it in others.
    found = {f"hidden{i}": each.numpy() for i, each in enumerate(result.hidden_states[:-1])}
    found["tokens"] = result.last_hidden_state.numpy()
    for key in ("text_embeds", "image_embeds", "pooler_output"):
        if key in result:
            return found | {"pooled": result[key].numpy()}
    return found


def both(model: Any, given: Given) -> dict[str, np.ndarray]:
    """What CLIP makes of captions and of pictures, and how alike they are."""
    words = {k: v for k, v in given.items() if k != "pixel_values"}
    picture, scored = given["pixel_values"], model(**given)
    return {
        "text_pooled": model.get_text_features(**words).pooler_output.numpy(),
        "text_tokens": model.get_text_features(**words).last_hidden_state.numpy(),
        "pooled": model.get_image_features(picture).pooler_output.numpy(),
        "tokens": model.get_image_features(picture).last_hidden_state.numpy(),
        "alike": scored.logits_per_image.numpy(),
    }


def main() -> None:
    """Writes NAME_SEED.npz for each kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, nargs="*", default=[0])
    parser.add_argument("--only", nargs="*", default=sorted(KINDS))
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    for name in asked.only:
        for seed in asked.seed:
            np.savez_compressed(asked.folder / f"{name}_{seed}.npz", **record(name, seed))


def _captions(pick: random.Random, vocabulary: int, longest: int) -> Given:
    """Ids, and sometimes a mask with as many tokens as it pleases."""
    length = pick.choice([longest, longest - 1])
    given = {"input_ids": torch.randint(3, vocabulary, (3, length))}
    if pick.choice([True, False]):
        counts = torch.tensor([[length], [pick.randint(1, length)], [1]])
        given["attention_mask"] = (torch.arange(length)[None] < counts).long()
    return given


def _pictures(*sides: int) -> torch.Tensor:
    return torch.randn(3, 3, *sides)


def _clip_text(pick: random.Random, model: Any) -> tuple[nn.Module, Given]:
    heads, words, longest = pick.choice([1, 2, 3]), pick.choice([20, 50]), pick.choice([5, 7])
    end = pick.choice([2, words - 1, words - 3])
    config = transformers.CLIPTextConfig(
        vocab_size=words,
        hidden_size=heads * pick.choice([4, 5]),
        intermediate_size=pick.choice([8, 13]),
        num_hidden_layers=pick.choice([1, 2, 3]),
        num_attention_heads=heads,
        max_position_embeddings=longest,
        hidden_act=pick.choice(["quick_gelu", "gelu"]),
        layer_norm_eps=pick.choice([1e-5, 1e-3]),
        projection_dim=pick.choice([3, 6]),
        eos_token_id=end,
        bos_token_id=0,
    )
    given = _captions(pick, words, longest)
    if end != 2:
        given["input_ids"][0, 2] = given["input_ids"][1, -1] = end
        given["input_ids"][2, 1:] = end
    return model(config), given


@kind
def clip_text(pick: random.Random) -> tuple[nn.Module, Given]:
    """CLIPTextModel."""
    return _clip_text(pick, transformers.CLIPTextModel)


@kind
def clip_text_with_projection(pick: random.Random) -> tuple[nn.Module, Given]:
    """CLIPTextModelWithProjection."""
    return _clip_text(pick, transformers.CLIPTextModelWithProjection)


@kind
def t5(pick: random.Random) -> tuple[nn.Module, Given]:
    """T5EncoderModel."""
    words = pick.choice([20, 50])
    config = transformers.T5Config(
        vocab_size=words,
        d_model=pick.choice([6, 8]),
        d_kv=pick.choice([3, 4]),
        d_ff=pick.choice([8, 13]),
        num_layers=pick.choice([1, 2, 3]),
        num_heads=pick.choice([1, 2, 3]),
        relative_attention_num_buckets=pick.choice([4, 8, 12]),
        relative_attention_max_distance=pick.choice([5, 20]),
        feed_forward_proj=pick.choice(["gated-gelu", "gated-gelu", "relu", "gated-silu"]),
        layer_norm_epsilon=pick.choice([1e-6, 1e-3]),
    )
    return transformers.T5EncoderModel(config), _captions(pick, words, pick.choice([7, 30]))


@kind
def bert(pick: random.Random) -> tuple[nn.Module, Given]:
    """BertModel."""
    heads, words, longest = pick.choice([1, 2, 3]), pick.choice([20, 50]), pick.choice([5, 7])
    config = transformers.BertConfig(
        vocab_size=words,
        hidden_size=heads * pick.choice([4, 5]),
        intermediate_size=pick.choice([8, 13]),
        num_hidden_layers=pick.choice([1, 2, 3]),
        num_attention_heads=heads,
        max_position_embeddings=longest,
        hidden_act=pick.choice(["gelu", "gelu_new", "relu"]),
        layer_norm_eps=pick.choice([1e-12, 1e-3]),
    )
    return transformers.BertModel(config), _captions(pick, words, longest)


@kind
def t5_gemma(pick: random.Random) -> tuple[nn.Module, Given]:
    """T5GemmaEncoder, whose window is shorter than captions."""
    words, groups, layers = pick.choice([20, 50]), pick.choice([1, 2]), pick.choice([2, 3])
    types = [pick.choice(["sliding_attention", "full_attention"]) for _ in range(layers)]
    heads = groups * pick.choice([1, 2, 3])
    config = modeling_t5gemma.T5GemmaModuleConfig(
        vocab_size=words,
        hidden_size=heads * pick.choice([3, 4]),
        intermediate_size=pick.choice([8, 13]),
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=groups,
        head_dim=pick.choice([2, 4, 6]),
        hidden_activation=pick.choice(["gelu_pytorch_tanh", "gelu", "silu"]),
        rms_norm_eps=pick.choice([1e-6, 1e-3]),
        attention_bias=pick.choice([False, False, True]),
        query_pre_attn_scalar=pick.choice([2, 5]),
        sliding_window=pick.choice([1, 2, 3]),
        layer_types=pick.choice([None, types]),
        attn_logit_softcapping=pick.choice([None, 0.5, 2.0]),
        rope_parameters={"rope_type": "default", "rope_theta": pick.choice([1e4, 50.0])},
    )
    config.dropout_rate = 0.0
    given = _captions(pick, words, pick.choice([7, 12]))
    given["input_ids"][1, 3] = given["input_ids"][2, 1] = 0  # padding, where nothing else says so
    return modeling_t5gemma.T5GemmaEncoder(config), given


def _clip_vision_config(pick: random.Random) -> Any:
    heads, patch = pick.choice([1, 2, 3]), pick.choice([2, 3])
    return transformers.CLIPVisionConfig(
        hidden_size=heads * pick.choice([4, 5]),
        intermediate_size=pick.choice([8, 13]),
        num_hidden_layers=pick.choice([1, 2, 3]),
        num_attention_heads=heads,
        image_size=patch * pick.choice([2, 3]) + pick.choice([0, 1]),
        patch_size=patch,
        hidden_act=pick.choice(["quick_gelu", "gelu"]),
        layer_norm_eps=pick.choice([1e-5, 1e-3]),
        projection_dim=pick.choice([3, 6]),
    )


@kind
def clip_vision(pick: random.Random) -> tuple[nn.Module, Given]:
    """CLIPVisionModel."""
    config = _clip_vision_config(pick)
    pictures = _pictures(config.image_size, config.image_size)
    return transformers.CLIPVisionModel(config), {"pixel_values": pictures}


@kind
def clip_vision_with_projection(pick: random.Random) -> tuple[nn.Module, Given]:
    """CLIPVisionModelWithProjection."""
    config = _clip_vision_config(pick)
    pictures = _pictures(config.image_size, config.image_size)
    return transformers.CLIPVisionModelWithProjection(config), {"pixel_values": pictures}


@kind
def clip(pick: random.Random) -> tuple[nn.Module, Given]:
    """CLIPModel."""
    text, given = _clip_text(pick, lambda config: config)
    vision = _clip_vision_config(pick)
    config = transformers.CLIPConfig(
        text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=4
    )
    given["pixel_values"] = _pictures(vision.image_size, vision.image_size)
    return transformers.CLIPModel(config), given


def _dinov2(pick: random.Random, config: Any, model: Any, **told: Any) -> tuple[nn.Module, Given]:
    heads, patch = pick.choice([1, 2, 3]), pick.choice([2, 3])
    made = config(
        hidden_size=heads * pick.choice([4, 5]),
        num_hidden_layers=pick.choice([1, 2, 3]),
        num_attention_heads=heads,
        mlp_ratio=pick.choice([2, 4]),
        hidden_act=pick.choice(["gelu", "gelu_new", "relu"]),
        image_size=patch * pick.choice([3, 5]) + pick.choice([0, 1]),
        patch_size=patch,
        layer_norm_eps=pick.choice([1e-6, 1e-3]),
        qkv_bias=pick.choice([True, False]),
        layerscale_value=0.5,
        use_swiglu_ffn=pick.choice([True, False]),
        **told,
    )
    sides = [patch * pick.choice([2, 3, 4, 7]) + pick.choice([0, 1]) for _ in range(2)]
    sides = pick.choice([sides, [made.image_size, made.image_size]])
    return model(made), {"pixel_values": _pictures(*sides)}


@kind
def dinov2(pick: random.Random) -> tuple[nn.Module, Given]:
    """Dinov2Model, of pictures of its own size and others."""
    return _dinov2(pick, transformers.Dinov2Config, transformers.Dinov2Model)


@kind
def dinov2_with_registers(pick: random.Random) -> tuple[nn.Module, Given]:
    """Dinov2WithRegistersModel."""
    config, model = transformers.Dinov2WithRegistersConfig, transformers.Dinov2WithRegistersModel
    return _dinov2(pick, config, model, num_register_tokens=pick.choice([1, 3]))


if __name__ == "__main__":
    main()
