"""Tables of published noise levels are those that were published."""

import numpy as np
import pytest

from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.grids import grids

# As diffusers rounds them (`AysSchedules`); the authors' quick-start values have more digits.
ROUNDED = {
    "sd15": [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152],
    "sdxl": [14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113],
    "svd": [700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034],
}


@pytest.mark.parametrize("model", ROUNDED)
def test_align_your_steps_has_the_published_levels(model: str) -> None:
    schedule = schedules.make("edm(sigma_min=0.001, sigma_max=1000.0)")
    nodes = grids.make(f"align_your_steps(model={model})")(schedule, 10)
    np.testing.assert_allclose(nodes.level.sigma[:-1], ROUNDED[model], rtol=0.016)
    assert float(nodes.level.sigma[-1]) == 0
