"""A study in its storage: made once, opened by name, deleted."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from bench.core.errors import BenchError, SpecError, StoreError
from bench.core.registry import suggestion
from bench.core.text import echoed, plain
from bench.search.failures import GIVE_UP_AFTER
from bench.search.optuna_parts import pruner_for
from bench.search.request import StudyRequest
from bench.search.storage import ENDING, Place
from bench.search.study_validation import UnsoundError, check_attributes, check_study_name, check_trial, read_request

REQUEST, EXECUTION, TARGET, FINALS, SETTINGS = "request", "execution", "trials", "finals", "settings"
"""What the study says of itself: its request, where it runs, its number of trials, the trials it trained again, and how
it was asked to stop and to end."""

MOST_DIFFERENCES = 3
"""Differences that a message names."""


@dataclass(frozen=True)
class Settings:
    """How a search stops and ends.

    Attributes:
        final_seeds: Seeds that the best parameters are trained with in the end.
        give_up_after: Trials that fail one after the other with the same cause before it stops; 0 for never.
    """

    final_seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    give_up_after: int = GIVE_UP_AFTER

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Settings:
        """Read what a study keeps; one of an earlier version keeps nothing."""
        known = {field.name: document[field.name] for field in dataclasses.fields(cls) if field.name in document}
        return cls(**{**known, "final_seeds": tuple(known.get("final_seeds", cls.final_seeds))})


@dataclass(frozen=True)
class Search:
    """An open study.

    Attributes:
        place: Where the study is kept.
        storage: The open storage there.
        study: The study as an object of Optuna.
        request: What the study searches and how.
    """

    place: Place
    storage: BaseStorage
    study: optuna.Study
    request: StudyRequest

    @property
    def name(self) -> str:
        """Name of the study, under which its storage knows it."""
        return self.study.study_name

    @property
    def trials(self) -> list[FrozenTrial]:
        """The trials of the study, sorted by number; the list is the storage's own and must not be changed."""
        with self.place.translated():
            return self.study.get_trials(deepcopy=False)

    @cached_property
    def _id(self) -> int:
        return self.storage.get_study_id_from_name(self.name)

    def trial_id(self, number: int) -> int:
        """Find the storage's own id of the trial with a number; raises KeyError where there is none."""
        return self.storage.get_trial_id_from_study_id_trial_number(self._id, number)

    @property
    def _attributes(self) -> dict[str, Any]:
        with self.place.translated():
            return self.study.user_attrs

    @property
    def target(self) -> int:
        """How many finished trials the study shall have in total; 0 where it was not said."""
        return int(self._attributes.get(TARGET, 0))

    @property
    def execution(self) -> dict[str, Any]:
        """Where and how the runs of the study were executed the last time."""
        return dict(self._attributes.get(EXECUTION, {}))

    @property
    def settings(self) -> Settings:
        """When the study stops and what it ends with."""
        return Settings.from_json(self._attributes.get(SETTINGS, {}))

    @property
    def finals(self) -> list[int]:
        """Numbers of the trials whose parameters were trained again on the whole training part."""
        return list(self._attributes.get(FINALS, ()))

    @property
    def best(self) -> FrozenTrial | None:
        """The complete trial with the highest Score, the first of equals."""
        complete = [trial for trial in self.trials if trial.state is TrialState.COMPLETE]
        return max(complete, key=lambda trial: (float(trial.value or 0.0), -trial.number), default=None)

    def running_on(self, execution: Mapping[str, Any], target: int | None, settings: Settings | None = None) -> None:
        """Remember where it runs now, how many trials it shall have, and how it ends; what is not given stays."""
        with self.place.translated():
            self.study.set_user_attr(EXECUTION, dict(execution))
            if target is not None:
                self.study.set_user_attr(TARGET, target)
            if settings is not None:
                self.study.set_user_attr(SETTINGS, dataclasses.asdict(settings))


def make_study(
    place: Place,
    name: str,
    request: StudyRequest,
    execution: Mapping[str, Any],
    target: int,
    settings: Settings | None = None,
) -> Search:
    """Make a study, or open the one of that name, which must be the same.

    Args:
        place: Where it is kept.
        name: Name of the study.
        request: What the study searches and how: model, method, space, objective.
        execution: Execution fields of its runs, by name.
        target: Number of trials that the study shall have in total.
        settings: When the study stops and what it ends with; what it keeps already stays where this is None.

    Raises:
        SpecError: If there is a study of that name that is something else; the differences are named.
        StoreError: If the storage cannot be used, or the study is damaged.
    """
    # Before the lock, whose file would stand beside what is no storage.
    place.check()
    # Under the lock, because two that make a database's tables at once get in each other's way.
    with place.lock(name), place.translated():
        storage = place.open()
        study = optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)
        _check_same(place, study, request)
        if REQUEST not in study.user_attrs:
            study.set_user_attr(REQUEST, request.to_json())
        search = _search(place, storage, study, request)
    search.running_on(execution, target, settings)
    return search


def check_study(place: Place, name: str, request: StudyRequest) -> None:
    """Refuse what :func:`make_study` would refuse; nothing is made.

    Raises:
        SpecError: If there is a study of that name that is something else; the differences are named.
        StoreError: If the storage cannot be used, or the study is damaged.
    """
    if not place.check():
        return
    storage = place.open()
    with place.translated():
        try:
            study = optuna.load_study(storage=storage, study_name=name)
        except KeyError:
            return
        _check_same(place, study, request)
        _search(place, storage, study, request)


def _check_same(place: Place, study: optuna.Study, request: StudyRequest) -> None:
    """Refuse a study that is another one, or somebody else's."""
    name, known = study.study_name, study.user_attrs.get(REQUEST)
    if known is None:
        if study.get_trials(deepcopy=False):
            raise SpecError(f"The study '{name}' in {place} was not made by `bench search`.", "Choose another --study.")
        return
    with _sound(place, name):
        differences = read_request(known).differences(request)
    if differences:
        more = len(differences) - MOST_DIFFERENCES
        named = "; ".join(differences[:MOST_DIFFERENCES]) + (f"; and {more} more" if more > 0 else "")
        raise SpecError(
            f"There is a study '{name}', and it is another one: {named}.",
            f"Go on with it by `bench search resume {name}`, or choose another --study.",
        )


def open_study(place: Place, name: str) -> Search:
    """Open a study by its name.

    Raises:
        SpecError: If there is none; a near name is suggested.
        StoreError: If the storage cannot be used, or the study is damaged.
    """
    if not place.check():
        if place.journal is None:
            raise SpecError(f"There is no study '{name}' in {place}.")
        folder = place.journal.parent
        known = [path.name.removesuffix(ENDING) for path in folder.glob(f"*{ENDING}")]
        raise SpecError(f"There is no study '{name}' in {folder}: {suggestion(name, known)}")
    storage = place.open()
    with place.translated():
        try:
            study = optuna.load_study(storage=storage, study_name=name)
        except KeyError:
            known = [plain(item.study_name) for item in storage.get_all_studies()]
            raise SpecError(f"There is no study '{name}' in {place}: {suggestion(name, known)}") from None
        document = study.user_attrs.get(REQUEST)
        if document is None:
            raise SpecError(f"The study '{name}' in {place} was not made by `bench search`.")
        with _sound(place, name):
            request = read_request(document)
        return _search(place, storage, study, request)


def _search(place: Place, storage: BaseStorage, study: optuna.Study, request: StudyRequest) -> Search:
    with _sound(place, study.study_name):
        check_attributes(study.user_attrs)
        for trial in study.get_trials(deepcopy=False):
            check_trial(trial)
    study.pruner = pruner_for(request)
    return Search(place, storage, study, request)


@contextlib.contextmanager
def _sound(place: Place, name: str) -> Iterator[None]:
    """Name the study in which something is unsound.

    Raises:
        StoreError: In the place of UnsoundError.
    """
    try:
        yield
    except UnsoundError as error:
        raise StoreError(
            f"The study '{echoed(name)}' in {place} is damaged: {error}.",
            "Put a copy of the storage in its place, or delete the study's file to begin anew; its runs stay.",
        ) from None


def studies_in(places: Sequence[Place]) -> tuple[list[Search], list[BenchError]]:
    """All studies of `bench search` in some places, by name.

    Args:
        places: Where to look.

    Returns:
        The studies, and what is wrong with those that cannot be read.
    """
    found: list[Search] = []
    errors: list[BenchError] = []
    for place in places:
        try:
            storage = place.open()
            with place.translated():
                known = [item for item in storage.get_all_studies() if REQUEST in item.user_attrs]
        except BenchError as error:
            errors.append(error)
            continue
        for item in known:
            try:
                found.append(_known_study(place, storage, item.study_name, item.user_attrs[REQUEST]))
            except BenchError as error:
                errors.append(error)
    return sorted(found, key=lambda search: search.name), errors


def _known_study(place: Place, storage: BaseStorage, name: str, document: Any) -> Search:
    with place.translated():
        study = optuna.load_study(storage=storage, study_name=name)
        with _sound(place, name):
            check_study_name(name)
            request = read_request(document)
        return _search(place, storage, study, request)


def delete_study(search: Search) -> None:
    """Delete a study; its runs and their rows on the board stay.

    Raises:
        StoreError: If the storage cannot be used.
    """
    journal = search.place.journal
    with search.place.lock(search.name), search.place.translated():
        optuna.delete_study(study_name=search.name, storage=search.storage)
        alone = journal is not None and not search.storage.get_all_studies()
    if alone and journal is not None:
        try:
            journal.unlink()
        except OSError as error:
            raise StoreError(f"Cannot delete {journal}: {error.strerror or error}.") from error


def cards_of(request: StudyRequest) -> dict[str, Any]:
    """The cards of a study's model and method, by owner; its plug-ins are loaded."""
    import baselines
    import methods

    return {"model": baselines.MODELS.card(request.model), "method": methods.METHODS.card(request.method)}
