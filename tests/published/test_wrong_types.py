"""Values of another type than a released model's files should hold are refused in one line each."""

import dataclasses
from typing import Any

import flax.linen as nn
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.hints import NAMES, fits
from diffusion_jax.networks.configurations import from_configuration, rows, told
from diffusion_jax.published.parts import Part, class_of, originals
from diffusion_jax.published.pipelines.base import trained_size
from diffusion_jax.published.schedulers import translate
from diffusion_jax.published.schedulers.settings import OPTIONAL, TAKEN, Settings

MEMBERS = {kind.__name__: kind for kind in originals().values()}
WRONG: tuple[Any, ...] = ("x", 1, 1.5, True, None, [1, "x"], [[1]], {"a": 1}, [])
TYPED = (bool, int, float, str, *OPTIONAL.values())


def one_line(refused: pytest.ExceptionInfo[UserError], *words: str) -> None:
    assert "\n" not in str(refused.value)
    assert all(word in str(refused.value) for word in words)


@pytest.mark.parametrize("kind", MEMBERS.values(), ids=MEMBERS)
def test_a_configuration_s_values_are_of_the_types_of_fields(kind: type[nn.Module]) -> None:
    count = 0
    for field in dataclasses.fields(kind):
        if field.name in ("parent", "name", "dtype"):
            continue
        assert fits(field.default, field.type), field.name
        for value in WRONG:
            if not fits(tuple(value) if isinstance(value, list) else value, field.type):
                with pytest.raises(UserError) as refused:
                    from_configuration(kind, {field.name: value})
                one_line(refused, field.name, "must be")
                count += 1
    assert count > 3 * len(WRONG)


@pytest.mark.parametrize("name", TAKEN)
def test_a_scheduler_s_settings_are_of_the_types_of_its_own(name: str) -> None:
    plain = Settings(name, {})
    for key in TAKEN[name]:
        if OPTIONAL.get(key, type(plain[key])) in TYPED:
            for value in ({"a": 1}, [[1]]):
                with pytest.raises(UserError) as refused:
                    translate({"_class_name": name, key: value})
                one_line(refused, key, "must be")


def test_a_table_of_betas_is_as_long_as_there_are_labels() -> None:
    with pytest.raises(UserError, match="trained_betas are 2 numbers, and num_train_timesteps is"):
        translate({"_class_name": "DDIMScheduler", "trained_betas": [0.1, 0.2]})


@pytest.mark.parametrize("size", ["4", 0, -1, 1.5, None, True])
def test_sizes_that_a_network_is_asked_by_are_whole_numbers(size: Any) -> None:
    with pytest.raises(UserError, match="by whole numbers from 1 on"):
        rows(4, size)
    if size != 0:
        with pytest.raises(UserError, match="by whole numbers from 0 on"):
            told(tokens=size)


@pytest.mark.parametrize("size", ["8", [8, 6, 4], -8, 8.5, [8, "6"]])
def test_a_size_that_was_trained_on_is_a_number_or_two(size: Any) -> None:
    with pytest.raises(UserError, match="sample_size of the unet must be a positive number or two"):
        trained_size({"unet": Part(None, None, {"sample_size": size})}, "unet")


@pytest.mark.parametrize("told", [{}, {"architectures": "CLIPTextModel"}, {"_class_name": [1]}])
def test_a_class_is_a_text(told: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="does not say of which class it is"):
        class_of(told, "config.json")


def test_every_basic_type_has_a_name() -> None:
    assert {bool, int, float, str} < NAMES.keys()
