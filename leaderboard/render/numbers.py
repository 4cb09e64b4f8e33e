"""Numbers as the tables print them: two decimals, a deviation after ±, an interval in brackets, seeds as ranges."""

from __future__ import annotations

from collections.abc import Sequence


def number(value: float | None, sign: str = "") -> str:
    """A number in print: two decimals, a dash where there is none; ``sign`` is ``+`` where a plus is shown."""
    return "–" if value is None else f"{value:{sign}.2f}"


def mean_lines(mean: float | None, deviation: float | None, sign: str = "") -> list[str]:
    """A mean, and below it its deviation where there is one."""
    return [number(mean, sign), *([f"± {number(deviation)}"] if deviation is not None else [])]


def interval_lines(ends: Sequence[float] | None, sign: str = "") -> list[str]:
    """An interval in brackets with one decimal; no line where there is none."""
    between = " to " if sign else "–"
    return [f"({ends[0]:{sign}.1f}{between}{ends[1]:{sign}.1f})"] if ends else []


def seeds(values: Sequence[int]) -> str:
    """Seeds in print: ``1-3, 5``."""
    parts: list[list[int]] = []
    for value in sorted(values):
        if parts and value == parts[-1][-1] + 1:
            parts[-1].append(value)
        else:
            parts.append([value])
    return ", ".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts)
