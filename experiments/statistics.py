"""Simulates how often sweeps call equal arms different, and how often they find a difference.

    python -m experiments.statistics
    python -m experiments.statistics --sweeps=20000 --markdown=docs/statistics.md

Levels are those of the rule by which reports judge; the power stands beside that of Bonferroni's
adjustment of paired t-tests and of Dunnett's many-to-one test.
"""

import functools
from collections.abc import Iterator

from experiments import plain

ARMS, SEEDS = (2, 3, 6, 10), (2, 3, 4, 5)
PLAN_ARMS, PLAN_SEEDS = (2, 3, 6, 10, 20), (2, 3, 4, 5, 8, 12)
SHAPES = ((3, 3), (5, 3), (6, 2), (6, 3), (6, 5), (10, 3))  # arms and seeds whose power is shown
EFFECTS = (1.0, 2.0, 3.0, 4.0, 6.0)
SCATTERS = ((0, 1.0), (1, 2.0), (1, 3.0), (0, 2.0), (0, 3.0))
HEADINGS = ("alike", "arm × 2", "arm × 3", "baseline × 2", "baseline × 3")
SEED = 17
INTRODUCTION = """\
# Level and power of the verdicts

Made by `python -m experiments.statistics --sweeps={sweeps} --markdown=docs/statistics.md`:
{sweeps:,} simulated sweeps for each number, seed {seed}; a number has a standard error of at most
{error:.2f} in the tables of levels.

## The rule

Values y_as of the baseline (a = 0) and of the other arms, over seeds s = 1 … n, are judged by

    t_a = |mean_s (y_as - y_0s)| / sqrt((v_a + v_0) / n).

The variances start from each arm's scatter over seeds after what the seed does to all arms is
taken out, g_a, and from the mean of them all, s². With few seeds a single g_a says little, so v_a
stays near s² unless an arm scatters far more than the others; the baseline's scatter, which is in
every difference, counts in full. The formulas are in `diffusion_jax/statistics/scatter.py`.

The distribution of the statistics where no arm differs is an integral over fixed draws of the
variances (`diffusion_jax/statistics/reference.py`), taken where all arms scatter alike, where the
baseline scatters three times as much, and where another arm does. The adjusted p-value is the
greatest of the three, the unequal ones taken at 0.05/0.0596. So with normal noise p < 0.05 comes up
for any of the equal arms in at most 5% of sweeps if they scatter alike and in at most 6% if one
scatters up to three times as much, and the simultaneous interval excludes zero exactly there. An
arm that scatters beyond doubt more than three times as much as the others (Cochran's test at 0.01)
is set aside and judged by its own paired t-test with Bonferroni's adjustment; all arms are, if it
is the baseline. Two arms are judged by the paired t-test, exactly.
"""
LEVELS = """\
## Level

Share of sweeps, in percent, in which any arm is called different although none is. One arm, or
the baseline, scatters over seeds so many times as much as the others.
"""
POWER = """\
## Power

Share of sweeps, in percent, in which the one arm that differs is found, by its difference in
units of the standard deviation that each arm has over seeds beyond what they share. All scatter
alike, normally.
"""
PLAN = """\
## The smallest difference that is found with 80% probability

In the same units, by `statistics.power`; the plan of a sweep says it for its own arms and seeds.
"""
LIMITS = """\
## What it does not do

- Log-normal noise with one wide arm is not held at 6%: the level is up to {skewed:.0f}% in the
  tables. A difference of skewed noise is not centred as its scatter tells, and the paired t-test of
  two arms has the same fault there. Where arms scatter alike, skewness cancels in the difference.
  Logarithms of the metric would be another question, of ratios, and are not taken.
- Differences of two standard deviations are found in {two_six:.1f}% of sweeps with three seeds and
  six arms, and of four in {four_six:.1f}%; with five arms in {two_five:.1f}% and {four_five:.1f}%.
  Other constants find more of the small ones and fewer of the large ones, at the same level. Of
  many rules tried, among them likelihood ratios of the patterns of scatter, none was better at
  both.
- Scatters of more than three times the others', not yet beyond doubt, raise the level: with three
  seeds and six arms of which one scatters ten times as much it is {ten_arm:.1f}%, {ten_base:.1f}%
  if that is the baseline.
- Dunnett's test finds a little more where arms scatter alike. Its level is {dunnett_arm:.1f}%
  where one arm of six scatters three times as much over three seeds, {dunnett_base:.1f}% where
  the baseline does.
"""


def main(words: list[str]) -> None:
    """Prints the page, or writes it as Markdown."""
    from diffusion_jax.errors import UserError
    from diffusion_jax.files import check_target, save

    parser = plain.Parser("statistics", __doc__)
    parser.add_argument("--sweeps", type=int, default=2000, help="simulated for each number (2000)")
    parser.add_argument("--markdown", default="", help="a file to write instead of printing")
    options = parser.parse_args(words)
    if options.sweeps < 1:
        raise UserError(f"--sweeps={options.sweeps}: at least one sweep is simulated.")
    if options.markdown:
        check_target(options.markdown)
    text = "\n".join(page(options.sweeps))
    print(save(text, options.markdown) if options.markdown else text)


def page(sweeps: int) -> Iterator[str]:
    """The page, part by part.

    Args:
        sweeps: simulated for each number.
    """
    from diffusion_jax.statistics.power import smallest_difference
    from diffusion_jax.statistics.simulation import NOISE, RULES, Setting, rate

    @functools.cache
    def percent(rule: str, setting: Setting) -> float:
        return 100 * rate(rule, setting, sweeps, SEED)

    yield INTRODUCTION.format(sweeps=sweeps, seed=SEED, error=100 * (0.06 * 0.94 / sweeps) ** 0.5)
    yield LEVELS
    for noise in NOISE:
        yield f"### Noise: {noise}\n"
        yield _table(
            ("Arms with the baseline", "Seeds", *HEADINGS),
            (
                [
                    arms,
                    seeds,
                    *(percent("this rule", Setting(arms, seeds, noise, *s)) for s in SCATTERS),
                ]
                for arms in ARMS
                for seeds in SEEDS
            ),
        )
    yield POWER
    yield _table(
        ("Arms with the baseline", "Seeds", "Rule", *(f"{effect:g}" for effect in EFFECTS)),
        (
            [arms, seeds, rule, *(percent(rule, Setting(arms, seeds, effect=e)) for e in EFFECTS)]
            for arms, seeds in SHAPES
            for rule in RULES
        ),
    )
    yield PLAN
    yield _table(
        ("Arms with the baseline", *(f"{n} seeds" for n in PLAN_SEEDS)),
        ([k, *(f"{smallest_difference(k, n):.2f}" for n in PLAN_SEEDS)] for k in PLAN_ARMS),
    )
    skewed = (Setting(k, n, "log-normal", *s) for k in ARMS for n in SEEDS for s in SCATTERS)
    yield LIMITS.format(
        skewed=max(percent("this rule", setting) for setting in skewed),
        two_six=percent("this rule", Setting(6, 3, effect=2.0)),
        four_six=percent("this rule", Setting(6, 3, effect=4.0)),
        two_five=percent("this rule", Setting(5, 3, effect=2.0)),
        four_five=percent("this rule", Setting(5, 3, effect=4.0)),
        ten_arm=percent("this rule", Setting(6, 3, wide=1, ratio=10.0)),
        ten_base=percent("this rule", Setting(6, 3, wide=0, ratio=10.0)),
        dunnett_arm=percent("Dunnett", Setting(6, 3, wide=1, ratio=3.0)),
        dunnett_base=percent("Dunnett", Setting(6, 3, wide=0, ratio=3.0)),
    )


def _table(headings: tuple[str, ...], rows: Iterator[list[object]]) -> str:
    """A Markdown table with a line after it; numbers with a point have one decimal."""
    cells = ([f"{c:.1f}" if isinstance(c, float) else str(c) for c in row] for row in rows)
    return f"{plain.table(headings, cells)}\n"


if __name__ == "__main__":
    plain.run(main)
