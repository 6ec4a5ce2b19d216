"""Numbers as a reader wants them: one style for page, plots and captions."""

import math

from diffusion_jax.statistics.estimate import Estimate

MINUS = "\N{MINUS SIGN}"
UNKNOWN = "\N{EM DASH}"


def number(value: float, digits: int = 3) -> str:
    """A number to so many significant digits, with a true minus sign.

    >>> number(0.012345), number(1234.5), number(-2.0), number(float("nan"))
    ('0.0123', '1,234', '−2.00', '—')
    """
    if math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        return ("" if value > 0 else MINUS) + "\N{INFINITY}"
    if value and abs(value) < 10.0**-5:
        return f"{value:.1e}".replace("-", MINUS)
    magnitude = math.floor(math.log10(abs(value))) if value else 0
    decimals = max(0, digits - 1 - magnitude)
    return f"{value:,.{decimals}f}".replace("-", MINUS)


def fixed(value: float, decimals: int) -> str:
    """A number with so many decimals, for columns.

    >>> fixed(-0.00125, 4), fixed(1234.5, 1)
    ('−0.0013', '1,234.5')
    """
    return f"{value:,.{decimals}f}".replace("-", MINUS)


def signed(value: float, decimals: int) -> str:
    """A number with its sign; what rounds to zero has none.

    >>> signed(3.14, 1), signed(-0.01, 1)
    ('+3.1', '0.0')
    """
    if math.isinf(value):
        return ("+" if value > 0 else MINUS) + "\N{INFINITY}"
    text = f"{value:+.{decimals}f}"
    return text[1:] if float(text) == 0 else text.replace("-", MINUS)


def fixed_interval(estimate: Estimate, decimals: int) -> str:
    """The 95% interval of a number with so many decimals, or an empty string.

    >>> fixed_interval(Estimate(1.0, -0.5, 2.5), decimals=1)
    '−0.5 to 2.5'
    """
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{fixed(estimate.low, decimals)} to {fixed(estimate.high, decimals)}"


def p_value(p: float) -> str:
    """A p-value; very small ones are bounded.

    >>> p_value(0.0234), p_value(1e-9)
    ('0.023', '< 0.001')
    """
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def duration(seconds: float) -> str:
    """A time span in its natural unit.

    >>> duration(42.0), duration(431.0), duration(7320.0)
    ('42 s', '7 min 11 s', '2 h 2 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def listed(words: list[str]) -> str:
    """Words as an English list.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
