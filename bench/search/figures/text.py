"""Figures of studies for a terminal, and every trial as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import fmean

from rich.console import RenderableType
from rich.text import Text

from bench.core.text import plain
from bench.search.figures import words
from bench.search.figures.data import FigureData, Parameter, StudyData, TrialData, scores_of
from leaderboard.render import csv as csv_writer
from leaderboard.render.cells import Cell, Column, Report, Row, Section, Table, Values, text_table
from leaderboard.render.numbers import number, seeds
from leaderboard.render.terminal import console, parts, printed

MOST_VALUES = 12
"""Values of a parameter that get a line each; more are put together in ranges."""
RANGES = 8
BAR = 24
"""How many letters long the longest bar is."""
_EIGHTHS = " ▏▎▍▌▋▊▉█"
"""Letters that are filled by none to eight eighths, for the end of a bar."""


def terminal(figure: FigureData, width: int | None = None, colour: bool = False) -> str:
    """Write the figure as tables for a terminal: Score by the values of each parameter, history and importance.

    Args:
        figure: The studies to show.
        width: Columns of the terminal; its own by default.
        colour: Whether to write colour codes.
    """
    screen = console(width, colour)
    shown: list[RenderableType] = [Text(words.title(figure), style="bold")]
    for study in figure.studies:
        shown += [Text(words.study_line(study)), Text(), *parts(Report(study.name, list(_tables(study))), screen.width)]
    return printed(screen, [*shown, *map(Text, words.notes(figure))])


def _tables(study: StudyData) -> Iterator[Table]:
    """The tables of a study: Score by each parameter, history, importance."""
    if not study.finished:
        return
    for parameter in study.parameters.values():
        if study.points(parameter.name):
            yield _scores_by_value(study, parameter)
    yield _history(study)
    if study.importance.shares:
        yield _importance(study)


def bar(value: float, low: float, high: float, most: int = BAR) -> str:
    """Write a bar for a value between two ends: empty at the lower one, ``most`` letters long at the upper one."""
    eighths = round(8 * most * (value - low) / (high - low)) if high > low else 0
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _scores_by_value(study: StudyData, parameter: Parameter) -> Table:
    trials = study.points(parameter.name)
    values = sorted({parameter.number(trial.params[parameter.name]) for trial in trials})
    ranges = len(values) > MOST_VALUES
    groups = _trials_by_range(parameter, trials) if ranges else _trials_by_value(parameter, trials)
    means = [fmean(scores_of(group)) for _, group in groups]
    low, high = min(means), max(means)
    rows = [
        [
            label,
            str(len(group)),
            words.score_words(group[0]) if len(group) == 1 else number(mean),
            number(max(scores_of(group))),
            bar(mean, low, high),
        ]
        for (label, group), mean in zip(groups, means, strict=True)
    ]
    mean_of = "Score" if all(len(group) == 1 for _, group in groups) else "mean Score"
    columns = [Column(parameter.symbol), Column("trials"), Column(mean_of), Column("best"), Column("", number=False)]
    title = f"Score against {parameter.title}, percent; bars from {number(low)} to {number(high)}"
    mark = "; * the paper's choice" if any(label.endswith(" *") for label, _ in groups) else ""
    return text_table(f"{title}{mark}", columns, rows)


def _trials_by_value(parameter: Parameter, trials: Sequence[TrialData]) -> list[tuple[str, list[TrialData]]]:
    """Trials by value; an asterisk marks the paper's choice."""
    found: dict[float, list[TrialData]] = {}
    for trial in sorted(trials, key=lambda trial: parameter.number(trial.params[parameter.name])):
        found.setdefault(parameter.number(trial.params[parameter.name]), []).append(trial)
    return [
        (words.value_words(group[0].params[parameter.name]) + " *" * (at == parameter.chosen), group)
        for at, group in found.items()
    ]


def _trials_by_range(parameter: Parameter, trials: Sequence[TrialData]) -> list[tuple[str, list[TrialData]]]:
    """Trials by ranges of equal width on the parameter's axis, without empty ones; a range holds its lower end."""
    edges = [_value_at(parameter, place / RANGES) for place in range(RANGES + 1)]
    found: list[list[TrialData]] = [[] for _ in range(RANGES)]
    for trial in trials:
        found[_range_at(parameter.place(trial.params[parameter.name]))].append(trial)
    marked = None if parameter.chosen_place is None else _range_at(parameter.chosen_place)
    return [
        (f"{edges[place]:.3g} – {edges[place + 1]:.3g}" + " *" * (place == marked), group)
        for place, group in enumerate(found)
        if group
    ]


def _range_at(place: float) -> int:
    return min(int(place * RANGES), RANGES - 1)


def _value_at(parameter: Parameter, place: float) -> float:
    low, high = parameter.low, parameter.high
    return low * (high / low) ** place if parameter.log else low + (high - low) * place


def _history(study: StudyData) -> Table:
    """The trials that were the best when they finished."""
    parameters = list(study.parameters.values())
    trials = {trial.number: trial for trial in study.finished}
    steps = study.history
    bettered = [steps[0], *(step for before, step in pairwise(steps) if step.best > before.best)]
    rows = [
        [
            str(step.number),
            *(_value_cell(trials[step.number], parameter) for parameter in parameters),
            words.score_words(trials[step.number]),
        ]
        for step in bettered
    ]
    columns = [Column("trial"), *(Column(parameter.symbol) for parameter in parameters), Column("Score")]
    return text_table("history: trials better than all before them", columns, rows)


def _value_cell(trial: TrialData, parameter: Parameter) -> str:
    return words.value_words(trial.params[parameter.name]) if parameter.name in trial.params else "–"


def _importance(study: StudyData) -> Table:
    importance = study.importance
    rows = [
        [plain(study.parameters[name].title), f"{share:.2f} ± {std:.2f}", bar(share, 0.0, 1.0)]
        for name, (share, std) in importance.shares.items()
    ]
    columns = [Column("parameter", number=False), Column("share"), Column("", number=False)]
    return text_table(words.importance_words(study), columns, rows)


# --- tables of all trials ---------------------------------------------------------------------------------------


def trials_table(study: StudyData) -> Table:
    """All trials of a study in every state: cells for a page, values for CSV."""
    best = {step.number: step.best for step in study.history}
    parameters = list(study.parameters.values())
    heads = ("trial", "state", *(one.title for one in parameters), "Score", "std", "best so far", "seeds", "note")
    rows = [
        Row([Cell([text]) for text in _texts(trial, parameters, best)], _values(study, trial, best))
        for trial in study.trials
    ]
    return Table(
        study.name, [Column(head, number=head not in ("state", "note")) for head in heads], [Section("", rows)]
    )


def _texts(trial: TrialData, parameters: Sequence[Parameter], best: Mapping[int, float]) -> list[str]:
    return [
        str(trial.number),
        words.STATES[trial.state],
        *(_value_cell(trial, parameter) for parameter in parameters),
        number(trial.score),
        number(trial.std),
        number(best.get(trial.number)),
        seeds(sorted(set(trial.seeds))) or "–",
        trial.error or "",
    ]


def _values(study: StudyData, trial: TrialData, best: Mapping[int, float]) -> Values:
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(trial).items()}
    params = {f"param.{name}": value for name, value in trial.params.items()}
    del values["params"]
    place = {"study": study.name, "objective": study.objective, "data": study.data, "trial": values.pop("number")}
    return {**place, **values, **params, "best_so_far": best.get(trial.number)}


def csv(figure: FigureData) -> str:
    """One line for each trial in every state, numbers in full precision; a parameter's column is ``param.NAME``."""
    fixed = ("study", "objective", "data", "trial", "state")
    params = (f"param.{name}" for name in figure.parameters)
    rest = ("score", "std", "best_so_far", "scores", "seeds", "folds", "run_ids", "seconds", "error")
    return csv_writer.write(Report("trials", list(map(trials_table, figure.studies)), fields=(*fixed, *params, *rest)))
