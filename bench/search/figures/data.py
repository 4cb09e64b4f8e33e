"""What the figures of a search show, as plain values read from its Optuna studies.

Only finished trials have a Score here; pruned and failed ones are counted, listed in the tables, and never drawn.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import combinations
from statistics import stdev
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from bench.core.datasets import extent_words
from bench.core.errors import SpecError
from bench.search.figures.importance import Importance, importance_of
from leaderboard.published.figure2 import PrintedParameter, printed_figure2
from leaderboard.tasks import judged_task

LOG_RATIO = 5.0
"""A list of positive values gets a log axis where its largest is this many times its smallest."""
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
            "figure": "figure2",
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


# --- out of Optuna ----------------------------------------------------------------------------------------------


def figure_of(studies: Sequence[optuna.Study]) -> FigureData:
    """Read studies of Optuna into the plain values of one figure.

    Args:
        studies: Studies of :mod:`bench.search`, which maximise the Score; nothing is written to them.

    Raises:
        SpecError: If they share a parameter that has numbers in one of them and words in another.
    """
    read = [_study_data(study) for study in studies]
    names = dict.fromkeys(name for study in read for name in study.parameters)
    spaces = {name: [study.parameters[name] for study in read if name in study.parameters] for name in names}
    return FigureData(read, {name: _joint_parameter(parameters) for name, parameters in spaces.items()})


def _study_data(study: optuna.Study) -> StudyData:
    request: Mapping[str, Any] = study.user_attrs.get("request", {})
    frozen = sorted(study.get_trials(deepcopy=False), key=lambda trial: trial.number)
    parameters: dict[str, Parameter] = {}
    for trial in frozen:
        for name, distribution in trial.distributions.items():
            found = _parameter(name, distribution, _printed_parameter(name, request))
            parameters[name] = _joint_parameter([parameters[name], found]) if name in parameters else found
    return StudyData(
        name=study.study_name,
        model=str(request.get("model", "")),
        method=str(request.get("method", "")),
        objective=str(request.get("objective", "held-out")),
        data=_data_words(request),
        parameters=_in_order(parameters, request),
        trials=[_trial_data(trial) for trial in frozen],
        source=[trial for trial in frozen if _is_finished(trial)],
    )


def _data_words(request: Mapping[str, Any]) -> str | None:
    """What must be said of the data of a study; studies of others may name none."""
    simulated = "dataset" in request and judged_task(request).simulated
    return extent_words(request.get("partial"), simulated=simulated)


def _in_order(parameters: Mapping[str, Parameter], request: Mapping[str, Any]) -> dict[str, Parameter]:
    """Parameters as they were asked for; Optuna does not keep an order in every storage."""
    asked = [name for name in request.get("params", ()) if name in parameters]
    return {name: parameters[name] for name in [*asked, *(name for name in parameters if name not in asked)]}


def _is_finished(trial: FrozenTrial) -> bool:
    return trial.state is TrialState.COMPLETE


def _trial_data(trial: FrozenTrial) -> TrialData:
    told = trial.user_attrs
    scores = tuple(told.get("scores", ()))
    finished = _is_finished(trial)
    return TrialData(
        number=trial.number,
        state=trial.state.name,
        params=dict(trial.params),
        score=trial.value if finished else None,
        std=stdev(scores) if finished and len(scores) > 1 else None,
        scores=scores,
        seeds=tuple(told.get("seeds", ())),
        folds=tuple(told.get("folds", ())),
        run_ids=tuple(told.get("run_ids", ())),
        seconds=told.get("seconds"),
        error=told.get("error"),
    )


# --- spaces -----------------------------------------------------------------------------------------------------


def _parameter(name: str, distribution: BaseDistribution, printed: PrintedParameter | None) -> Parameter:
    symbol, chosen = (printed.symbol, printed.chosen) if printed else (name, None)
    if isinstance(distribution, FloatDistribution | IntDistribution):
        return Parameter(
            name, symbol, float(distribution.low), float(distribution.high), log=distribution.log, chosen=chosen
        )
    assert isinstance(distribution, CategoricalDistribution)
    return _listed_parameter(name, symbol, chosen, distribution.choices)


def _printed_parameter(name: str, request: Mapping[str, Any]) -> PrintedParameter | None:
    """What the paper says of a parameter: of its method's options alone, whatever else shares a name with them."""
    figure = printed_figure2()
    field = request.get("space", {}).get(name, {}).get("field", f"method.{name}")
    owner, _, option = field.rpartition(".")
    return figure.parameters.get(option) if (request.get("method"), owner) == (figure.method, "method") else None


def _listed_parameter(name: str, symbol: str, chosen: float | None, values: Sequence[Value]) -> Parameter:
    """A space that is a list: numbers keep their sizes, words get places in the list's order."""
    numbers = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(values):
        return Parameter(name, symbol, 0.0, len(values) - 1.0, values=tuple(values), words=True)
    low, high = min(numbers), max(numbers)
    log = low > 0 and high / low >= LOG_RATIO
    return Parameter(name, symbol, low, high, log=log, values=tuple(sorted(numbers)), chosen=chosen)


def _joint_parameter(parameters: Sequence[Parameter]) -> Parameter:
    """The parameter whose space holds the spaces of all of these, which share a name."""
    first = parameters[0]
    if all(parameter == first for parameter in parameters):
        return first
    if len({parameter.words for parameter in parameters}) > 1:
        raise SpecError(
            f"{first.name} is a number in one of the studies and a word in another: they share no axis.",
            "Report them one by one, each with --study.",
        )
    if first.words:
        words = tuple(dict.fromkeys(value for parameter in parameters for value in parameter.values))
        return Parameter(first.name, first.symbol, 0.0, len(words) - 1.0, values=words, words=True)
    listed = all(parameter.values for parameter in parameters)
    values = {float(value) for parameter in parameters for value in parameter.values if isinstance(value, int | float)}
    low, high = min(parameter.low for parameter in parameters), max(parameter.high for parameter in parameters)
    return Parameter(
        first.name,
        first.symbol,
        low,
        high,
        log=low > 0 and any(parameter.log for parameter in parameters),
        values=tuple(sorted(values)) if listed else (),
        chosen=next((parameter.chosen for parameter in parameters if parameter.chosen is not None), None),
    )
