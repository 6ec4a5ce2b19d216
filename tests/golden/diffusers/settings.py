"""The settings of diffusers' schedulers, given or by default."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from diffusion_jax.published.schedulers.settings import COMMON, DEFAULTS
from tests.golden.load import Case


@dataclasses.dataclass(frozen=True)
class Config(Mapping[str, Any]):
    """The settings of a scheduler, given or by default."""

    case: Case

    def __getitem__(self, name: str) -> Any:
        given = self.case.kwargs["config"]
        if name in given:
            return given[name]
        own = DEFAULTS.get(self.case.family, {})
        return own[name] if name in own else COMMON[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**COMMON, **DEFAULTS.get(self.case.family, {}), **self.case.kwargs["config"]})

    def __len__(self) -> int:
        return len(list(iter(self)))


# Settings that mean nothing unless another is so.
IDLE: Mapping[str, tuple[str, Any]] = {
    "clip_sample_range": ("clip_sample", True),
    "dynamic_thresholding_ratio": ("thresholding", True),
    "sample_max_value": ("thresholding", True),
    "flow_shift": ("use_flow_sigmas", True),
    "use_dynamic_shifting": ("use_flow_sigmas", True),
    "time_shift_type": ("use_dynamic_shifting", True),
    "shift_terminal": ("use_flow_sigmas", True),
    "steps_offset": ("timestep_spacing", "leading"),
    "beta_schedule": ("trained_betas", None),
    "beta_start": ("trained_betas", None),
    "beta_end": ("trained_betas", None),
    "shift": ("use_dynamic_shifting", False),
}
# Those that only a pipeline looks at, to find the `mu` of a size of picture.
PIPELINES = ("base_shift", "max_shift", "base_image_seq_len", "max_image_seq_len")


def pass_over(case: Case) -> None:
    """Counts as looked at what a scheduler was told but others of its settings make idle."""
    config = Config(case)
    for name in set(case.kwargs["config"]):
        if name in PIPELINES:
            config[name]
        elif name in IDLE:
            switch, on = IDLE[name]
            if config[switch] != on:
                config[name]


def given(case: Case, part: str, name: str, default: Any = None) -> Any:
    """A setting of `set_timesteps` or `step`, or its default."""
    return case.kwargs[part].get(name, default)


def steps_of(case: Case) -> int:
    """How many steps the scheduler was asked for."""
    for name in ("timesteps", "sigmas"):
        listed = given(case, "set_timesteps", name)
        if listed is not None:
            return len(listed)
    return int(given(case, "set_timesteps", "num_inference_steps"))
