"""Names of earlier versions: told, translated, and kept in what results are filed under."""

import pytest

from configs import quickstart
from diffusion_jax import renamed
from diffusion_jax.errors import UserError
from diffusion_jax.process.time_samplers import time_samplers
from diffusion_jax.runs.fields import TYPES, check_fields
from diffusion_jax.runs.run import as_plain, completed, decisive

OLD = {
    "times": "low_discrepancy(times=log_normal(mean=-0.3, std=1.3))",
    "arms": {"edm": {"times": "loss_aware(labels=4, times=antithetic(times=uniform))"}},
}


def test_an_old_name_is_answered_with_the_new_one() -> None:
    with pytest.raises(UserError, match="has no setting 'times'. It is now called 'time_sampler'"):
        time_samplers.make("low_discrepancy(times=uniform)")
    config = quickstart.get_config()
    with config.unlocked():
        config.times = "uniform"
    with pytest.raises(UserError, match="'times'. It is now called 'time_sampler'"):
        check_fields(config)


def test_every_new_name_is_one_of_today() -> None:
    assert {name.rpartition(".")[2] for name in TYPES} >= set(renamed.FIELDS.values())


def test_an_old_config_is_read_with_the_names_of_today() -> None:
    plain = completed({"training": {}, "sampling": {"headline_count": 8}, **OLD})
    assert plain["time_sampler"] == "low_discrepancy(time_sampler=log_normal(mean=-0.3, std=1.3))"
    assert plain["arms"]["edm"] == {
        "time_sampler": "loss_aware(labels=4, time_sampler=antithetic(time_sampler=uniform))"
    }
    assert "times" not in plain
    assert plain["sampling"]["judged_count"] == 8 and "headline_count" not in plain["sampling"]


def test_results_are_filed_under_the_names_that_fields_had_first() -> None:
    # So that what was trained before a field was renamed is found again.
    today = renamed.first_names(dict(decisive(renamed.translated(OLD))))
    assert today == dict(decisive(OLD)) | {
        "times": OLD["times"],
        "arms.edm.times": "loss_aware(labels=4, times=antithetic(times=uniform))",
    }
    plain = as_plain(quickstart.get_config())
    assert "times" in renamed.first_names(plain) and "time_sampler" in plain
