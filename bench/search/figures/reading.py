"""Optuna studies as what their figures show: the only part of the figures that reads a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import stdev
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from bench.core.datasets import extent_words
from bench.core.errors import SpecError
from bench.search.figures.data import FigureData, Parameter, StudyData, TrialData, Value
from leaderboard.published.figure2 import PrintedParameter, printed_figure2
from leaderboard.tasks import judged_task

LOG_RATIO = 5.0
"""A list of positive values gets a log axis where its largest is this many times its smallest."""


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
