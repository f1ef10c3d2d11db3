"""Numbers as readers see them: the same in the terminal, the report and every sentence."""

import math
from collections.abc import Mapping, Sequence

from hpsearch.core import words
from hpsearch.core.space import Value


def number(value: float | None, digits: int = 4) -> str:
    """A number with about `digits` significant digits, ``–`` for None: 0.98123 → 0.9812, 48213.2 → 48,213."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if size >= 10 ** (digits + 4) or 0 < size < 10 ** (1 - digits):
        return f"{value:.{max(digits - 2, 1)}e}"
    shown = float(f"{size:.{digits}g}")  # 0.99999 is shown as 1.000, like 1
    before = math.floor(math.log10(shown)) + 1 if shown >= 1 else 0
    return f"{value:,.{max(digits - before, 0)}f}"


def setting(value: Value | None) -> str:
    """A hyperparameter's value with at most four significant digits: 0.023457 → 0.02346, 512 → 512."""
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def settings(config: Mapping[str, Value]) -> str:
    """A config on one line: ``learning_rate 0.023, units 128``."""
    return ", ".join(f"{name} {setting(value)}" for name, value in config.items())


def score(value: float | None, std: float | None = None) -> str:
    """A score with its standard deviation, if any, to the same decimals: ``0.9812 ± 0.0042``."""
    shown = number(value)
    if std is None or value is None or "e" in shown:
        return shown if std is None else f"{shown} ± {number(std)}"
    decimals = len(shown.partition(".")[2])
    return f"{shown} ± {std:,.{decimals}f}"


def whole(value: int | None) -> str:
    """A count with thousands separators, ``–`` for None."""
    return "–" if value is None else f"{value:,}"


def duration(seconds: float | None) -> str:
    """A duration, such as ``3 min 20 s``; ``–`` for None."""
    return "–" if seconds is None else words.duration(seconds)


def percent(share: float | None) -> str:
    """A share, such as ``12 %``; ``–`` for None."""
    return "–" if share is None else words.percent(share)


def size(value: int | None) -> str:
    """A file size: ``812 B``, ``1.3 MB``."""
    if value is None:
        return "–"
    amount = float(value)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError("unreachable: the last unit always returns")


def probability(value: float | None) -> str:
    """A p-value: two decimals, three below 0.1, ``< 0.001`` if smaller, ``–`` for None."""
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def several(count: int, singular: str, plural: str = "") -> str:
    """A count with its noun: ``1 trial``, ``12 trials``."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def joined(items: Sequence[str], conjunction: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {conjunction} {items[-1]}"
