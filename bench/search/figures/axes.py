"""Axes of the figures of studies: scale, ends and ticks of a parameter, and the axes of parallel coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from bench.core.text import plain
from bench.search.figures import words
from bench.search.figures.data import Parameter
from bench.search.figures.style import MUTED, PAPER

LEAST_GAP = 0.07
"""Share of an axis that ticks must lie apart."""


def explain_below_title(ax: Axes, parts: Sequence[str]) -> None:
    """Write a line below the panel's title; its parts are separated by semicolons."""
    ax.annotate(
        "; ".join(parts), (0, 1), (0, 4), xycoords="axes fraction", textcoords="offset points", fontsize=8, color=MUTED
    )


def value_axis(ax: Axes, parameter: Parameter, side: Literal["x", "y"]) -> None:
    """Set scale, ends, ticks and label of a parameter's axis."""
    axis = getattr(ax, f"{side}axis")
    if parameter.log:
        getattr(ax, f"set_{side}scale")("log")
    getattr(ax, f"set_{side}lim")(*_axis_ends(parameter))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: words.value_words(value)))
    ticks = [parameter.number(value) for value in parameter.values]
    if parameter.words:
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_ticklabels([_shortened(value) for value in parameter.values])
    elif _lie_apart(sorted(parameter.place(value) for value in parameter.values)):
        axis.set_major_locator(FixedLocator(ticks))
    elif parameter.log:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if parameter.high / parameter.low < 1e3 else (1.0,)))
    else:
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    getattr(ax, f"set_{side}label")(plain(parameter.title))


def _lie_apart(places: Sequence[float]) -> bool:
    return bool(places) and all(b - a >= LEAST_GAP for a, b in pairwise(places))


def _axis_ends(parameter: Parameter) -> tuple[float, float]:
    """Ends of the space, and of the paper's choice where it lies outside, with a little room."""
    ends = [parameter.low, parameter.high] + ([parameter.chosen] if parameter.chosen is not None else [])
    low, high = min(ends), max(ends)
    if parameter.log:
        room = (high / low) ** 0.05 if high > low else 2.0
        return low / room, high * room
    room = 0.05 * (high - low) or 0.5
    if parameter.words:
        room = 0.5
    return low - room, high + room


def axis_marks(parameter: Parameter) -> list[tuple[float, str]]:
    """Give the places and texts along an upright axis: every value of a list, or the ends and the middle of a range."""
    listed = [(parameter.place(value), _shortened(value)) for value in parameter.values]
    if listed and (parameter.words or _lie_apart(sorted(place for place, _ in listed))):
        return listed
    middle = (parameter.low * parameter.high) ** 0.5 if parameter.log else (parameter.low + parameter.high) / 2
    return [(parameter.place(value), f"{value:.3g}") for value in (parameter.low, middle, parameter.high)]


def _shortened(value: Any) -> str:
    text = words.value_words(value)
    return text if len(text) <= 14 else f"{text[:13]}…"


def upright_axis(ax: Axes, place: float, marks: Sequence[tuple[float, str]]) -> None:
    """Draw one axis of the parallel coordinates, with its marks."""
    ax.axvline(place, ymin=0.05, ymax=0.95, color=MUTED, linewidth=0.9)
    for height, text in marks:
        ax.annotate(
            text,
            (place, height),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.75, "pad": 0.6},
        )
