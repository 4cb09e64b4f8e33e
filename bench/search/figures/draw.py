"""Figures of studies by matplotlib: one function for each panel, and the page that holds them all.

Only matplotlib's objects are used, never its global state, and the settings hold for the time of one drawing.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.tri import Triangulation

from bench.core.text import plain
from bench.search.figures import words
from bench.search.figures.axes import axis_marks, explain_below_title, upright_axis, value_axis
from bench.search.figures.data import FigureData, Parameter, StudyData, TrialData, scores_of
from bench.search.figures.style import CHOSEN, INK, LINE, MUTED, PAPER, SCORES, SERIES, drawing

Format = Literal["svg", "pdf", "png"]

_UNDATED: dict[str, dict[str, Any]] = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
    "png": {},
}
"""Metadata without the date, so that the same study gives the same bytes."""

PAGE_WIDTH, ROW_HEIGHT, TITLE_HEIGHT, LINE_HEIGHT = 10.5, 2.9, 0.3, 0.17
PANEL_SIZE = (4.6, 3.1)
"""Width and height of a panel that is drawn alone; all sizes are in inches."""
LETTERS, TITLE_LETTERS = 140, 38
"""Letters that fit on a line across the page, and on a line of a panel's title."""
CROWD = 30
"""Number of trials in a panel from which their points become lighter, so that they can be told apart."""


@dataclass(frozen=True)
class Panel:
    """One of the figures: its title, how it is drawn, and the row of the page that it belongs to."""

    title: str
    draw: Callable[[Axes], None]
    row: str


def panels(figure: FigureData) -> list[Panel]:
    """List all panels that the studies have enough trials for; :func:`words.limits` says why others are not there."""
    drawn = [study for study in figure.studies if study.finished]
    limits = _score_limits(drawn)
    found = [
        Panel(f"Score against {plain(parameter.title)}", partial(score_panel, figure, parameter, limits), "small")
        for parameter in figure.parameters.values()
        if any(study.points(parameter.name) for study in drawn)
    ]
    several = len(figure.studies) > 1
    for study in drawn:
        found += _panels_of(study, f", {plain(study.name)}" if several else "")
    return found


def _panels_of(study: StudyData, of_study: str) -> list[Panel]:
    found = [Panel(f"History{of_study}", partial(history_panel, study), "small")]
    if study.importance.shares:
        found.append(Panel(f"Importance{of_study}", partial(importance_panel, study), "small"))
    if len(study.varying) > 1:
        found.append(Panel(f"All parameters{of_study}", partial(parallel_panel, study), f"parallel{of_study}"))
    for x, y in study.pairs[: words.MOST_CONTOURS]:
        pair = study.parameters[x], study.parameters[y]
        signs = " and ".join(plain(parameter.symbol) for parameter in pair)
        form = "" if _surface(study, *pair) else ", trials only"
        title = f"Score over {signs}{form}{of_study}"
        found.append(Panel(title, partial(contour_panel, study, *pair), f"contours{of_study}"))
    return found


def _score_limits(studies: Sequence[StudyData]) -> tuple[float, float]:
    """Lowest and highest Score with deviation, and a little room: the same axis in all panels."""
    ends = [
        trial.score + sign * (trial.std or 0.0)
        for study in studies
        for trial in study.finished
        if trial.score is not None
        for sign in (-1, 1)
    ]
    if not ends:
        return 0.0, 100.0
    room = 0.08 * (max(ends) - min(ends)) or 0.5
    return min(ends) - room, max(ends) + room


# --- panels -----------------------------------------------------------------------------------------------------


def score_panel(figure: FigureData, parameter: Parameter, limits: tuple[float, float], ax: Axes) -> None:
    """Draw the Score of each finished trial against one parameter, with error bars, and the paper's choice in grey.

    Args:
        figure: The figure, whose studies get a colour each.
        parameter: The parameter on the x axis.
        limits: Ends of the Score's axis, percent.
        ax: The axes to draw on.
    """
    shown = [study for study in figure.studies if study.points(parameter.name)]
    for study in shown:
        _score_points(ax, study, parameter, SERIES[figure.studies.index(study) % len(SERIES)])
    if parameter.chosen is not None:
        ax.axvline(parameter.chosen, color=CHOSEN, linewidth=6, zorder=0, solid_capstyle="butt")
    value_axis(ax, parameter, "x")
    ax.set_ylim(*limits)
    ax.set_ylabel("Score (%)")
    ax.grid(axis="y", color=LINE, linewidth=0.6)
    explained = [f"grey: {words.chosen_words(parameter)}"] if parameter.chosen is not None else []
    explain_below_title(ax, [*explained, "ring: best trial"])
    if len(shown) > 1:
        ax.legend(loc="best")


def _score_points(ax: Axes, study: StudyData, parameter: Parameter, colour: str) -> None:
    trials = sorted(study.points(parameter.name), key=lambda trial: parameter.number(trial.params[parameter.name]))
    x, y = _numbers(trials, parameter), scores_of(trials)
    ax.errorbar(
        x,
        y,
        yerr=[trial.std or np.nan for trial in trials],
        fmt="o-" if study.has_one_trial_a_value else "o",
        color=colour,
        markersize=4,
        linewidth=1.2,
        elinewidth=0.9,
        capsize=2.5,
        alpha=1.0 if len(trials) < CROWD else 0.7,
        label=plain(study.name),
    )
    best = study.best
    if best is not None and parameter.name in best.params:
        ax.plot(_numbers([best], parameter), scores_of([best]), "o", color=INK, **_RING)


_RING: dict[str, Any] = {"markerfacecolor": "none", "markersize": 8.5, "markeredgewidth": 1.0}


def history_panel(study: StudyData, ax: Axes) -> None:
    """Draw the Score of each finished trial in the order of their numbers, and the best one so far."""
    steps = study.history
    numbers = [step.number for step in steps]
    crowded = len(steps) >= CROWD
    ax.plot(numbers, [step.score for step in steps], "o", color=SERIES[0], markersize=3 if crowded else 4, alpha=0.7)
    ax.step(numbers, [step.best for step in steps], where="post", color=INK, linewidth=1.2)
    ax.set_xlabel("trial")
    ax.set_ylabel("Score (%)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    ax.grid(axis="y", color=LINE, linewidth=0.6)
    explain_below_title(ax, ["line: best so far"])


def importance_panel(study: StudyData, ax: Axes) -> None:
    """Draw the importance of each parameter; error bars are deviations over bootstrap resamples of the trials."""
    importance = study.importance
    names = list(importance.shares)[::-1]
    shares, spread = np.array([importance.shares[name] for name in names]).T
    # A share lies between 0 and 1: error bars end there, the printed deviation does not.
    reach = np.minimum(spread, 1 - shares)
    ax.barh(
        range(len(names)),
        shares,
        xerr=[np.minimum(spread, shares), reach],
        height=0.55,
        color=SERIES[0],
        error_kw={"ecolor": INK, "elinewidth": 1.0, "capsize": 3},
    )
    for place, (share, std) in enumerate(zip(shares, spread, strict=True)):
        ax.annotate(
            f"{share:.2f} ± {std:.2f}",
            (min(share + std, 1.0), place),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    ax.set_xlim(0, 1.3 * float((shares + reach).max()))
    ax.set_yticks(range(len(names)), [plain(study.parameters[name].title) for name in names])
    ax.set_xlabel("share of the importance")
    explain_below_title(ax, [f"best {importance.best} of {importance.trials} trials (PED-ANOVA); ± by bootstrap"])


def parallel_panel(study: StudyData, ax: Axes) -> None:
    """Draw a line for each finished trial through all parameters that vary to its Score; brighter is higher."""
    parameters = [study.parameters[name] for name in study.varying]
    trials = sorted(study.points(*study.varying), key=lambda trial: trial.score or 0.0)
    scores = np.array(scores_of(trials))
    low, high = float(scores.min()), float(scores.max())
    heights = np.full_like(scores, 0.5) if high == low else (scores - low) / (high - low)
    lines = [
        [
            *enumerate(parameter.place(trial.params[parameter.name]) for parameter in parameters),
            (len(parameters), height),
        ]
        for trial, height in zip(trials, heights, strict=True)
    ]
    ax.add_collection(LineCollection(lines, colors=SCORES(heights), linewidths=1.1, alpha=0.75))
    for place, parameter in enumerate(parameters):
        upright_axis(ax, place, axis_marks(parameter))
        if parameter.chosen_place is not None:
            mark: dict[str, Any] = {"color": MUTED, "markersize": 16, "markeredgewidth": 4, "alpha": 0.7}
            ax.plot([place], [parameter.chosen_place], "_", **mark)
    upright_axis(
        ax, len(parameters), [(0.0, f"{low:.2f}"), (1.0, f"{high:.2f}")] if high > low else [(0.5, f"{low:.2f}")]
    )
    ax.set_xticks(range(len(lines[0])), [*(plain(parameter.title) for parameter in parameters), "Score (%)"])
    ax.set_xlim(-0.12, len(parameters) + 0.22)
    ax.set_ylim(-0.06, 1.06)
    ax.tick_params(axis="x", length=0, labelsize=9)
    ax.yaxis.set_visible(False)
    ax.spines[:].set_visible(False)
    marked = any(parameter.chosen_place is not None for parameter in parameters)
    explain_below_title(ax, ["a line for each finished trial", *(["grey: the paper's choices"] if marked else [])])


def contour_panel(study: StudyData, x: Parameter, y: Parameter, ax: Axes) -> None:
    """Draw the Score over two parameters, interpolated linearly between trials, or the trials alone.

    Trials at the same place are averaged; where other parameters vary too the surface averages over nothing, so that it
    is as rough as the trials are.
    """
    trials = study.points(x.name, y.name)
    at = _numbers(trials, x), _numbers(trials, y)
    surface = _surface(study, x, y)
    scores = np.array(scores_of(trials))
    colours = {"cmap": SCORES, "vmin": scores.min(), "vmax": scores.max()}
    if surface:
        drawn: Any = ax.tricontourf(surface.mesh, surface.scores, levels=8, **colours)
        ax.plot(*at, ".", color=INK, markersize=3)
    else:
        drawn = ax.scatter(*at, c=scores, s=22, **colours)
    bar = ax.figure.colorbar(drawn, ax=ax, label="Score (%)", format=FuncFormatter(lambda v, _: f"{v:.4g}"))
    bar.outline.set_visible(False)
    if x.chosen is not None and y.chosen is not None:
        ax.plot([x.chosen], [y.chosen], "P", color=CHOSEN, markeredgecolor=INK, markersize=8)
    value_axis(ax, x, "x")
    value_axis(ax, y, "y")
    explain_below_title(
        ax, ["dots: trials", *(["plus: the paper's choice"] if x.chosen is not None and y.chosen is not None else [])]
    )


@dataclass(frozen=True)
class _Surface:
    mesh: Triangulation
    scores: Any


def _surface(study: StudyData, x: Parameter, y: Parameter) -> _Surface | None:
    """Triangles between the trials; None for words, for fewer than four places, and for places on one line."""
    if x.words or y.words:
        return None
    found: dict[tuple[float, float], list[float]] = {}
    for trial in study.points(x.name, y.name):
        place = (x.number(trial.params[x.name]), y.number(trial.params[y.name]))
        found.setdefault(place, []).append(trial.score or 0.0)
    places = np.array([(x.place(a), y.place(b)) for a, b in found])
    if len(places) < 4 or np.linalg.matrix_rank(places - places.mean(axis=0), tol=1e-6) < 2:
        return None
    scores = np.array([np.mean(scores) for scores in found.values()])
    if np.ptp(scores) == 0:
        return None
    # The triangles are those of the places on the axes, which may be logarithmic.
    triangles = Triangulation(places[:, 0], places[:, 1]).triangles
    values = np.array(list(found))
    return _Surface(Triangulation(values[:, 0], values[:, 1], triangles), scores)


# --- values of trials -------------------------------------------------------------------------------------------


def _numbers(trials: Sequence[TrialData], parameter: Parameter) -> list[float]:
    return [parameter.number(trial.params[parameter.name]) for trial in trials]


# --- pages ------------------------------------------------------------------------------------------------------


def page(figure: FigureData, format: Format) -> bytes:  # noqa: A002
    """Draw all panels on one page, with what was searched above and notes below.

    Args:
        figure: The studies to draw.
        format: Format of the file: svg, pdf or png.

    Returns:
        The file's bytes, the same for the same data.
    """
    heads = _wrapped([words.study_line(study) for study in figure.studies])
    feet, rows = _wrapped(words.notes(figure)), _rows(panels(figure))
    heights = [TITLE_HEIGHT + LINE_HEIGHT * len(heads), *(ROW_HEIGHT for _ in rows), LINE_HEIGHT * (len(feet) + 1)]
    with drawing():
        paper = Figure(figsize=(PAGE_WIDTH, sum(heights)), layout="constrained", facecolor=PAPER)
        head, *strips, foot = paper.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
        head.text(0.01, 1 - 0.07 / heights[0], words.title(figure), va="top", fontsize=12, fontweight="bold")
        head.text(0.01, 0.0, "\n".join(heads), va="bottom")
        foot.text(0.01, 0.9, "\n".join(feet), va="top", fontsize=8, color=MUTED)
        for strip, row in zip(strips, rows, strict=True):
            for panel, ax in zip(row, strip.subplots(1, len(row), squeeze=False)[0], strict=True):
                _draw(panel, ax)
        return _bytes(paper, format)


def _wrapped(lines: Sequence[str]) -> list[str]:
    return [part for line in lines for part in textwrap.wrap(line, LETTERS)]


def _rows(found: Sequence[Panel]) -> list[list[Panel]]:
    """Panels of the same row, at most three beside each other, as evenly as they go."""
    rows: list[list[Panel]] = []
    for name in dict.fromkeys(panel.row for panel in found):
        same = [panel for panel in found if panel.row == name]
        count = -(-len(same) // 3)
        rows += [list(part) for part in np.array_split(np.array(same, dtype=object), count)]
    return rows


def panel_svg(panel: Panel) -> bytes:
    """Draw one panel alone as SVG, without a background."""
    with drawing():
        paper = Figure(figsize=PANEL_SIZE, layout="constrained", facecolor="none")
        _draw(panel, paper.subplots())
        return _bytes(paper, "svg")


def _draw(panel: Panel, ax: Axes) -> None:
    ax.set_title("\n".join(textwrap.wrap(panel.title, TITLE_LETTERS)), pad=17)
    panel.draw(ax)


def _bytes(paper: Figure, format: Format) -> bytes:  # noqa: A002
    stream = io.BytesIO()
    paper.savefig(stream, format=format, dpi=150, metadata=_UNDATED[format])
    return stream.getvalue()
