"""A study in its storage: made once, opened by name, told as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from bench.cards import Card
from bench.errors import SpecError, StoreError
from bench.registry import suggestion
from bench.search.optuna_parts import pruner_for
from bench.search.request import StudyRequest
from bench.search.storage import ENDING, Place

REQUEST, EXECUTION, TARGET, FINALS = "request", "execution", "trials", "finals"
"""What the study says of itself: its request, where it runs, its number of trials, and the trials it trained again."""


@dataclass(frozen=True)
class Search:
    """An open study.

    Attributes:
        place: Where it is kept.
        study: It, as Optuna has it.
        request: What it is.
    """

    place: Place
    study: optuna.Study
    request: StudyRequest

    @property
    def name(self) -> str:
        """Its name."""
        return self.study.study_name

    @property
    def trials(self) -> list[FrozenTrial]:
        """Its trials by number; not to be changed."""
        return self.study.get_trials(deepcopy=False)

    @property
    def target(self) -> int:
        """How many finished trials it shall have."""
        return int(self.study.user_attrs[TARGET])

    @property
    def execution(self) -> dict[str, Any]:
        """Where and how it ran the last time."""
        return dict(self.study.user_attrs[EXECUTION])

    @property
    def best(self) -> FrozenTrial | None:
        """The complete trial with the highest Score, the first of equals."""
        complete = [trial for trial in self.trials if trial.state is TrialState.COMPLETE]
        return max(complete, key=lambda trial: (float(trial.value or 0.0), -trial.number), default=None)

    def running_on(self, execution: Mapping[str, Any], target: int | None) -> None:
        """Remember where it runs now, and how many trials it shall have; without a number that stays."""
        self.study.set_user_attr(EXECUTION, dict(execution))
        if target is not None:
            self.study.set_user_attr(TARGET, target)


def make_study(place: Place, name: str, request: StudyRequest, execution: Mapping[str, Any], target: int) -> Search:
    """Make a study, or open the one of that name, which must be the same.

    Args:
        place: Where it is kept.
        name: Its name.
        request: What it is.
        execution: Execution fields of its runs.
        target: Its number of trials in total.

    Raises:
        SpecError: If there is a study of that name that is something else; the differences are named.
        StoreError: If the storage cannot be used.
    """
    storage = place.open()
    with place.lock(name), place.translated():
        study = optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)
        known = study.user_attrs.get(REQUEST)
        if known is None:
            if study.get_trials(deepcopy=False):
                raise SpecError(
                    f"The study '{name}' in {place} was not made by `bench search`.", "Choose another --study."
                )
            study.set_user_attr(REQUEST, request.to_json())
        else:
            differences = StudyRequest.from_json(known).differences(request)
            if differences:
                raise SpecError(
                    f"There is a study '{name}', and it is another one: {'; '.join(differences)}.",
                    f"Go on with it by `bench search resume {name}`, or choose another --study.",
                )
        search = _search(place, study, request)
        search.running_on(execution, target)
    return search


def open_study(place: Place, name: str) -> Search:
    """Open a study by its name.

    Raises:
        SpecError: If there is none; a near name is suggested.
        StoreError: If the storage cannot be used.
    """
    if not place.exists:
        folder = Path(str(place)).parent
        known = [path.name.removesuffix(ENDING) for path in folder.glob(f"*{ENDING}")]
        raise SpecError(f"There is no study '{name}' in {folder}: {suggestion(name, known)}")
    storage = place.open()
    with place.translated():
        try:
            study = optuna.load_study(storage=storage, study_name=name)
        except KeyError:
            known = [item.study_name for item in storage.get_all_studies()]
            raise SpecError(f"There is no study '{name}' in {place}: {suggestion(name, known)}") from None
        document = study.user_attrs.get(REQUEST)
    if document is None:
        raise SpecError(f"The study '{name}' in {place} was not made by `bench search`.")
    return _search(place, study, StudyRequest.from_json(document))


def _search(place: Place, study: optuna.Study, request: StudyRequest) -> Search:
    study.pruner = pruner_for(request)
    return Search(place, study, request)


def studies_in(places: Sequence[Place]) -> list[Search]:
    """All studies of `bench search` in some places, by name."""
    found = []
    for place in places:
        storage = place.open()
        with place.translated():
            for item in storage.get_all_studies():
                if REQUEST in item.user_attrs:
                    study = optuna.load_study(storage=storage, study_name=item.study_name)
                    found.append(Search(place, study, StudyRequest.from_json(item.user_attrs[REQUEST])))
    return sorted(found, key=lambda search: search.name)


def delete_study(search: Search) -> None:
    """Delete a study; its runs and their rows on the board stay.

    Raises:
        StoreError: If the storage cannot be used.
    """
    journal = search.place.journal
    with search.place.lock(search.name), search.place.translated():
        optuna.delete_study(study_name=search.name, storage=search.study._storage)
        alone = journal is not None and not search.study._storage.get_all_studies()
    if alone and journal is not None:
        try:
            journal.unlink()
        except OSError as error:
            raise StoreError(f"Cannot delete {journal}: {error.strerror or error}.") from error


def cards_of(request: StudyRequest) -> dict[str, Card]:
    """The cards of a study's model and method, by owner; its plug-ins are loaded."""
    import baselines
    import methods

    return {"model": baselines.MODELS.card(request.model), "method": methods.METHODS.card(request.method)}


# --- as plain values --------------------------------------------------------------------------------------------


def budget(search: Search) -> dict[str, Any]:
    """What a study has cost: trials by state, hours of runs, and the space that it looked through."""
    trials = search.trials
    seconds = {"cuda": 0.0, "cpu": 0.0}
    for trial in trials:
        told = trial.user_attrs
        seconds[told.get("device", "cpu")] += told.get("seconds", 0.0) * told.get("processes", 1)
    return {
        "trials": sum(trial.state.is_finished() for trial in trials),
        **{state.name.lower(): sum(trial.state is state for trial in trials) for state in TrialState},
        "gpu_hours": seconds["cuda"] / 3600,
        "cpu_hours": seconds["cpu"] / 3600,
        "space": {dimension.name: str(dimension) for dimension in search.request.space},
        "test_evaluations": _test_evaluations(search, trials),
    }


def _test_evaluations(search: Search, trials: Sequence[FrozenTrial]) -> int:
    """For how many trials' parameters the test set was looked at."""
    seen = set(search.study.user_attrs.get(FINALS, ()))
    if search.request.objective == "test":
        seen |= {trial.number for trial in trials if trial.user_attrs.get("run_ids")}
    return len(seen)


def summary(search: Search) -> dict[str, Any]:
    """A study in one row."""
    trials, best = search.trials, search.best
    return {
        "study": search.name,
        "model": search.request.model,
        "method": search.request.method,
        "params": [dimension.name for dimension in search.request.space],
        "objective": search.request.objective,
        "trials": sum(trial.state.is_finished() for trial in trials),
        "target": search.target,
        "counts": {state.name.lower(): sum(trial.state is state for trial in trials) for state in TrialState},
        "best": None if best is None else best.value,
        "storage": str(search.place),
    }


def describe_trial(trial: FrozenTrial) -> dict[str, Any]:
    """A trial as plain data; ``run_id`` is its first run."""
    told = trial.user_attrs
    run_ids = list(told.get("run_ids", ()))
    return {
        "number": trial.number,
        "state": trial.state.name,
        "value": trial.value,
        "params": dict(trial.params),
        "run_id": run_ids[0] if run_ids else None,
        "run_ids": run_ids,
        **{name: list(told.get(name, ())) for name in ("scores", "seeds", "folds")},
        "seconds": told.get("seconds"),
        "error": told.get("error"),
        "pruned": told.get("pruned"),
        "epochs": {str(step): value for step, value in sorted(trial.intermediate_values.items())},
    }


def describe(search: Search) -> dict[str, Any]:
    """A study as one document."""
    best = search.best
    return {
        "study": search.name,
        "objective": search.request.objective,
        "tuned_on_test": search.request.objective == "test",
        "target": search.target,
        "storage": str(search.place),
        "request": search.request.to_json(),
        "budget": budget(search),
        "best": None if best is None else describe_trial(best),
        "final": list(search.study.user_attrs.get(FINALS, ())),
        "trials": [describe_trial(trial) for trial in search.trials],
    }
