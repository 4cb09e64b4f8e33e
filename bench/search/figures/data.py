"""What the figures of a search show, as plain values.

Only finished trials have a Score here; pruned and failed ones are counted, listed in the tables, and never drawn.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from bench.core import paper
from bench.search.figures.importance import Importance, importance_of
from leaderboard.published.figure2 import printed_figure2

TEST = "test"

Value = float | int | str | bool | None


@dataclass(frozen=True)
class Parameter:
    """A searched parameter.

    Attributes:
        name: Name of the parameter in the study.
        symbol: The parameter's sign in the paper, otherwise its name.
        low: Smallest value of the space; for words the place of the first one, 0.
        high: Largest value of the space; for words the place of the last one.
        log: Whether the parameter's axis is logarithmic.
        values: All values of the space where that is a list; empty for a range.
        words: Whether the values are words, which have places (0, 1, …) instead of sizes.
        chosen: The value that the paper chose, where the paper says.
    """

    name: str
    symbol: str
    low: float
    high: float
    log: bool = False
    values: tuple[Value, ...] = ()
    words: bool = False
    chosen: float | None = None

    @property
    def title(self) -> str:
        """The parameter's sign with its name behind it; the name alone where it has no sign."""
        return self.name if self.symbol == self.name else f"{self.symbol} ({self.name})"

    def number(self, value: Value) -> float:
        """Give a value as a number on the parameter's axis; for a word that is its place in the list."""
        if self.words:
            return float(self.values.index(value))
        assert isinstance(value, int | float)
        return float(value)

    def place(self, value: Value) -> float:
        """Tell where a value lies between the space's ends, 0 to 1; halfway where the space is a single value."""
        low, high, at = self.low, self.high, self.number(value)
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return 0.5 if high == low else (at - low) / (high - low)

    @property
    def chosen_place(self) -> float | None:
        """Where the paper's choice lies between the space's ends; None outside of them and where there is none."""
        inside = self.chosen is not None and self.low <= self.chosen <= self.high
        return self.place(self.chosen) if inside else None


@dataclass(frozen=True)
class TrialData:
    """One trial of a study as plain values.

    Attributes:
        number: Number of the trial in the study.
        state: Optuna's name of the trial's state.
        params: Values of the trial's parameters by name.
        score: Mean Score of the trial's runs, percent; None unless the trial is finished.
        std: Sample standard deviation of the Score over the runs, points; None with fewer than two.
        scores: Score of each run in percent: folds times seeds.
        seeds: Seed of each run.
        folds: Fold of each run.
        run_ids: Ids of the runs on the board.
        seconds: Duration of all runs together in seconds.
        error: Why the trial failed; None where it did not.
    """

    number: int
    state: str
    params: Mapping[str, Value]
    score: float | None = None
    std: float | None = None
    scores: tuple[float, ...] = ()
    seeds: tuple[int, ...] = ()
    folds: tuple[int, ...] = ()
    run_ids: tuple[str, ...] = ()
    seconds: float | None = None
    error: str | None = None


@dataclass(frozen=True)
class HistoryStep:
    """A finished trial in the study's history, and the best Score up to it, percent."""

    number: int
    score: float
    best: float


@dataclass(frozen=True)
class StudyData:
    """One study as plain values.

    Attributes:
        name: Name of the study.
        model: Id of the model.
        method: Id of the method.
        objective: ``held-out`` or ``test``.
        data: What the runs were not made on in full: ``simulated``, or the part of ICBHI; None for all of it.
        parameters: The searched parameters by name, in the study's order.
        trials: The trials in every state, by number.
        source: The finished trials as Optuna has them, from which the importance is computed when it is asked for.
    """

    name: str
    model: str
    method: str
    objective: str
    data: str | None
    parameters: Mapping[str, Parameter]
    trials: Sequence[TrialData]
    source: Sequence[FrozenTrial] = field(repr=False)

    @cached_property
    def finished(self) -> list[TrialData]:
        """The finished trials in the order of their numbers."""
        return [trial for trial in self.trials if trial.score is not None]

    @cached_property
    def importance(self) -> Importance:
        """The importance of the study's parameters."""
        return importance_of(self.source)

    @property
    def counts(self) -> dict[str, int]:
        """How many trials are in each state that occurs, finished ones first."""
        found = Counter(trial.state for trial in self.trials)
        return {state.name: found[state.name] for state in _STATE_ORDER if found[state.name]}

    @property
    def best(self) -> TrialData | None:
        """The finished trial with the highest Score, the first of equals."""
        return max(self.finished, key=_score_of, default=None)

    @cached_property
    def history(self) -> list[HistoryStep]:
        """Finished trials by number, each with the best Score so far."""
        steps: list[HistoryStep] = []
        for trial in self.finished:
            score = _score_of(trial)
            steps.append(HistoryStep(trial.number, score, max(score, steps[-1].best) if steps else score))
        return steps

    def points(self, *names: str) -> list[TrialData]:
        """Give the finished trials that have all these parameters."""
        return [trial for trial in self.finished if all(name in trial.params for name in names)]

    @property
    def varying(self) -> list[str]:
        """Parameters with at least two values among the finished trials."""
        return [name for name in self.parameters if len({trial.params[name] for trial in self.points(name)}) > 1]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Pairs of varying parameters, those of the largest importance first."""
        shares = self.importance.shares
        weight = {pair: sum(shares[name][0] if name in shares else 0.0 for name in pair) for pair in self._pairs}
        return sorted(self._pairs, key=lambda pair: -weight[pair])

    @property
    def _pairs(self) -> list[tuple[str, str]]:
        return list(combinations(self.varying, 2))

    @property
    def has_one_trial_a_value(self) -> bool:
        """Whether one parameter alone varies, a trial for each value: then a line through the Scores has a meaning."""
        if len(self.varying) != 1:
            return False
        values = [trial.params.get(self.varying[0]) for trial in self.finished]
        return len(set(values)) == len(values)


_STATE_ORDER = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING)


def scores_of(trials: Sequence[TrialData]) -> list[float]:
    """The Scores of the finished ones among trials, percent."""
    return [trial.score for trial in trials if trial.score is not None]


def _score_of(trial: TrialData) -> float:
    assert trial.score is not None
    return trial.score


@dataclass(frozen=True)
class FigureData:
    """The studies of one figure.

    Attributes:
        studies: The studies in the order in which they were named.
        parameters: The parameters of all studies by name; an axis reaches over the spaces of all of them.
    """

    studies: Sequence[StudyData]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Write the figure as a JSON document: every trial, and whatever is drawn of them."""
        return {
            "figure": paper.FIGURE,
            "source": printed_figure2().source,
            "parameters": [asdict(parameter) for parameter in self.parameters.values()],
            "studies": [_study_json(study) for study in self.studies],
        }


def _study_json(study: StudyData) -> dict[str, Any]:
    facts = {name: getattr(study, name) for name in ("name", "model", "method", "objective", "data", "counts")}
    importance = study.importance
    shares = {name: {"share": share, "std": std} for name, (share, std) in importance.shares.items()}
    return {
        **facts,
        "tuned_on_test": study.objective == TEST,
        "best": None if study.best is None else study.best.number,
        "history": [asdict(step) for step in study.history],
        "importance": {**asdict(importance), "shares": shares},
        "pairs": [list(pair) for pair in study.pairs],
        "trials": [asdict(trial) for trial in study.trials],
    }
