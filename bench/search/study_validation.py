"""What a storage says of a study, checked before it is believed: anybody may have written into a journal or a database.

Each check names what is wrong; nothing here knows where the study is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from bench.core.errors import SpecError
from bench.core.text import echoed
from bench.experiment.spec import check_field, fields_with_role, settable_fields
from bench.search.request import OBJECTIVES, PRUNERS, SAMPLERS, StudyRequest
from bench.search.storage import NAME

Check = Callable[[Any], bool]


class UnsoundError(ValueError):
    """Something in a study that no search writes; the message says what."""


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | bool) or _is_number(value)


def _is_count(value: Any) -> bool:
    return _is_whole(value) and value >= 0


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def _list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list | tuple) and all(map(check, value))


def _one_of(known: Iterable[str]) -> Check:
    words = tuple(known)
    return lambda value: isinstance(value, str) and value in words


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


REQUEST: Mapping[str, Check] = {
    "params": _list_of(_is_text),
    "space": _is_mapping,
    "objective": _one_of(OBJECTIVES),
    "folds": lambda value: _is_whole(value) and 1 <= value <= 100,
    "sampler": _one_of(SAMPLERS),
    "pruner": _one_of(PRUNERS),
    "sampler_seed": _is_whole,
    "seeds": _list_of(_is_count),
    "spec": _is_mapping,
}
DIMENSION: Mapping[str, Check] = {
    "field": _is_text,
    "low": _is_number,
    "high": _is_number,
    "log": lambda value: isinstance(value, bool),
    "whole": lambda value: isinstance(value, bool),
    "values": lambda value: _list_of(_is_scalar)(value) and len(value) > 0,
}
EXECUTION: Mapping[str, Check] = {
    "data": _is_text,
    "cache": _is_text,
    "profile": _is_text,
    "device": _one_of(("cpu", "cuda")),
    "processes": lambda value: _is_whole(value) and value >= 1,
    "plugins": _list_of(_is_text),
    "weights": _or_none(_is_text),
    "study": _is_mapping,
}
SETTINGS: Mapping[str, Check] = {"final_seeds": _list_of(_is_count), "give_up_after": _is_count}
TRIAL: Mapping[str, Check] = {
    "run_ids": _list_of(_is_text),
    "scores": _list_of(_is_number),
    "seeds": _list_of(_is_count),
    "folds": _list_of(_is_count),
    "seconds": _or_none(_is_number),
    "device": _one_of(("cpu", "cuda")),
    "processes": _is_count,
    "error": _or_none(_is_text),
    "pruned": _or_none(_is_text),
    "lost_workers": _is_count,
    "lost_at": _is_count,
    "epochs_done": _is_count,
    "retry_of": _is_count,
}
OWNER: Mapping[str, Check] = {"machine": _is_text, "pid": _is_whole, "started": _is_number, "beat": _is_number}


def _validated(what: str, document: Any, checks: Mapping[str, Check], needed: Iterable[str] = ()) -> Mapping[str, Any]:
    """Check that the known entries of a mapping are of their kinds and the needed ones are there; gives the mapping."""
    if not isinstance(document, Mapping):
        raise UnsoundError(f"{what} is '{echoed(document)}'")
    for name in needed:
        if name not in document:
            raise UnsoundError(f"{what} lacks '{name}'")
    for name, check in checks.items():
        if name in document and not check(document[name]):
            raise UnsoundError(f"{what}: {name} is '{echoed(document[name])}'")
    return document


def check_study_name(name: Any) -> None:
    """Check that a study has a name that a search could have given it.

    Raises:
        UnsoundError: If it has another one.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise UnsoundError("its name is none that a search gives")


def read_request(document: Any) -> StudyRequest:
    """Read the request that is stored with a study.

    Raises:
        UnsoundError: If it holds what no search writes.
    """
    _validated("the request", document, REQUEST, REQUEST)
    for name in document["params"]:
        _check_dimension(name, document["space"].get(name))
    if not document["params"] or not document["seeds"]:
        raise UnsoundError("the request searches nothing")
    _check_spec(document["spec"])
    return StudyRequest.from_json(document)


def _check_dimension(name: str, document: Any) -> None:
    what = f"the space of '{echoed(name)}'"
    needed = ("field",) if isinstance(document, Mapping) and "values" in document else ("field", "low", "high")
    _validated(what, document, DIMENSION, needed)
    unknown = next((key for key in document if key not in DIMENSION), None)
    if unknown is not None:
        raise UnsoundError(f"{what} has '{echoed(unknown)}'")
    if "values" not in document:
        low, high = document["low"], document["high"]
        if low >= high or (document.get("log") and low <= 0):
            raise UnsoundError(f"{what} is {low} to {high}")


def _check_spec(document: Mapping[str, Any]) -> None:
    """The identity fields that every trial shares, as a run would take them."""
    known = set(fields_with_role("identity"))
    unknown = next((name for name in document if name not in known), None)
    if unknown is not None:
        raise UnsoundError(f"the spec has '{echoed(unknown)}'")
    kinds: dict[str, Check] = {"model": _is_text, "method": _is_text, "pretrain": _is_text, "dataset": _is_text}
    kinds |= {"partial": _or_none(_is_text), "epochs": _is_whole}
    kinds |= {f"{owner}_options": _is_mapping for owner in ("model", "method", "frontend")}
    _validated("the spec", document, kinds)
    try:
        for name in settable_fields():
            if name in document:
                check_field(name, document[name])
    except SpecError as error:
        raise UnsoundError(f"the spec: {echoed(error, 200)}") from None


def check_attributes(attributes: Mapping[str, Any]) -> None:
    """Check the attributes of a study that say where and how its trials are run.

    Raises:
        UnsoundError: If they hold what no search writes.
    """
    needed = ("data", "cache", "device", "processes", "plugins", "weights")
    execution = _validated("its execution", attributes.get("execution", {}), EXECUTION)
    if execution:
        _validated("its execution", execution, EXECUTION, needed)
    _validated("its settings", attributes.get("settings", {}), SETTINGS)
    kinds: dict[str, Check] = {"trials": _is_count, "finals": _list_of(_is_count)}
    _validated("the study", attributes, kinds)


def check_trial(trial: FrozenTrial) -> None:
    """Check what is stored of a trial: its attributes, parameters, Score and reported epochs.

    Raises:
        UnsoundError: If it holds what no search writes.
    """
    what = f"trial {trial.number}"
    told = _validated(what, trial.user_attrs, TRIAL)
    if "worker" in told:
        _validated(f"{what}: its worker", told["worker"], OWNER, OWNER)
    if trial.state is TrialState.COMPLETE and not (trial.values and all(map(_is_number, trial.values))):
        raise UnsoundError(f"{what} is complete, but its Score is '{echoed(trial.values)}'")
    if not all(_is_scalar(value) for value in trial.params.values()):
        raise UnsoundError(f"{what} has parameters that are no values")
    steps = trial.intermediate_values
    if not all(_is_whole(step) and _is_float(score) for step, score in steps.items()):
        raise UnsoundError(f"{what} has epochs that are no numbers")


def _is_float(value: Any) -> bool:
    return isinstance(value, int | float)
