"""Networks and autoencoders against what tiny random ones of diffusers gave."""

from pathlib import Path

import pytest

import tests.golden.run  # noqa: F401  makes all checks known
from diffusion_jax.networks.autoencoders import autoencoders
from diffusion_jax.published.names import Names, names_of
from tests.golden.check import outcome
from tests.golden.load import Case, read

CASES = read(Path(__file__).parent / "data")


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("case", CASES, ids=repr)
def test_outputs_are_those_of_the_original(case: Case) -> None:
    found = outcome(case)
    assert found.status == "agree", found.why


def test_every_autoencoder_is_recorded() -> None:
    assert {case.name.rpartition("_")[0] for case in CASES} >= set(autoencoders)


def test_old_files_of_autoencoders_are_read_by_the_names_of_today() -> None:
    names: Names = names_of(autoencoders.make("autoencoder_kl"))
    path = "decoder.mid_block.attentions.0"
    for old, new in {"query": "to_q", "key": "to_k", "proj_attn": "to_out.0"}.items():
        assert names.known(f"{path}.{old}.weight") == f"{path}.{new}.weight"
    assert names.known(f"{path}.group_norm.bias") == f"{path}.group_norm.bias"
