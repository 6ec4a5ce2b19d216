"""Tables of published noise levels are those that were published."""

import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.grids import grids
from diffusion_jax.sampling.grids.tables import NoiseTable

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


class TestNoiseTable:
    """Levels given by hand are visited as given, or refused."""

    LEVELS = (10.0, 3.0, 1.0, 0.1)

    @pytest.mark.parametrize("schedule", ["edm", "cosine", "rectified_flow", "ddpm_linear"])
    @pytest.mark.parametrize("end", [(), (0.0,)])
    def test_as_many_levels_as_steps_are_visited_as_given(
        self, schedule: str, end: tuple[float, ...]
    ) -> None:
        nodes = NoiseTable((*self.LEVELS, *end))(schedules.make(schedule), 4)
        ratio = nodes.level.sigma / nodes.level.alpha
        np.testing.assert_allclose(ratio, (*self.LEVELS, 0), rtol=2e-4)

    def test_other_counts_divide_the_log_snr_evenly(self) -> None:
        even = tuple(np.geomspace(8.0, 0.5, 5))
        for steps in (1, 2, 3, 4, 7):
            nodes = NoiseTable((*even, 0.0))(schedules.make("edm"), steps)
            found = np.asarray(nodes.level.sigma)
            np.testing.assert_allclose(found[:-1], np.geomspace(8.0, 0.5, steps), rtol=1e-4)
            # Without the 0 the last level is where the steps would end.
            nodes = NoiseTable(even)(schedules.make("edm"), steps)
            wanted = np.geomspace(8.0, 0.5, steps + 1)[:-1]
            np.testing.assert_allclose(nodes.level.sigma[:-1], wanted, rtol=1e-4)

    def test_levels_that_the_schedule_lacks_are_refused(self) -> None:
        schedule = schedules.make("edm(sigma_min=0.01, sigma_max=20.0)")
        for levels in ((30.0, 1.0), (3.0, 0.001)):
            with pytest.raises(UserError, match=r"the schedule reaches from 20 to 0\.01"):
                NoiseTable(levels)(schedule, 2)
        assert float(NoiseTable((20.0, 0.01))(schedule, 2).level.sigma[0]) == pytest.approx(20)
