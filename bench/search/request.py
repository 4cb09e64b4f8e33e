"""What a study is: spec, space, objective and way of searching, kept with it so that its name is enough to go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from bench.core.cards import Card
from bench.core.datasets import FOUR_CLASSES
from bench.core.errors import SpecError
from bench.core.registry import suggestion
from bench.core.text import counted_noun, echoed
from bench.experiment.spec import OFFICIAL_SPLIT, RunSpec, check_field
from bench.search.space import Dimension, Value, apply_params, grid_size

Objective = Literal["held-out", "test"]
"""What a trial is judged on: held-out training patients, or the official test part."""

OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
SAMPLERS = ("auto", "tpe", "gp", "cmaes", "random", "grid")
PRUNERS = ("hyperband", "median", "wilcoxon", "none")

MOST_TRIALS = 1_000_000
"""Trials of a study: each worker holds all of them in its memory."""

SINGLE_FOLD_OF = 5
"""Without cross-validation one fold of five is held out: a fifth of the training patients."""


def objective_words(objective: str) -> str:
    """Say for people what a study's trials are judged on."""
    return "TUNED ON THE TEST SET" if objective == "test" else "held-out training patients"


@dataclass(frozen=True, kw_only=True)
class StudyRequest:
    """What a study searches and how; two studies with equal requests ask for the same.

    Attributes:
        identity: Identity fields of the spec that every trial shares; split and seed are the trials' own.
        space: The dimensions that are searched.
        objective: ``held-out`` for the Score on held-out training patients, ``test`` for the official test part.
        folds: Runs of a trial for each seed, each judged on another fold; 1 is a single hold-out.
        seeds: Seeds of a trial's runs.
        sampler: One of :data:`SAMPLERS`, but ``auto``.
        pruner: One of :data:`PRUNERS`.
        sampler_seed: Seed of the sampler.
    """

    identity: Mapping[str, Any]
    space: tuple[Dimension, ...]
    objective: Objective
    folds: int
    seeds: tuple[int, ...]
    sampler: str
    pruner: str
    sampler_seed: int = 1

    @property
    def model(self) -> str:
        """Id of the model."""
        return str(self.identity["model"])

    @property
    def method(self) -> str:
        """Id of the method."""
        return str(self.identity["method"])

    def to_json(self) -> dict[str, Any]:
        """Write the request as the JSON document that is stored with the study."""
        names = ("model", "method", "pretrain", "dataset", "partial")
        return {
            **{name: self.identity[name] for name in names},
            "params": [dimension.name for dimension in self.space],
            "space": {dimension.name: dimension.to_json() for dimension in self.space},
            **{name: getattr(self, name) for name in ("objective", "folds", "sampler", "pruner", "sampler_seed")},
            "seeds": list(self.seeds),
            "spec": dict(self.identity),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> StudyRequest:
        """Read a request from the JSON document that :meth:`to_json` wrote."""
        names = ("objective", "folds", "sampler", "pruner", "sampler_seed")
        space = [Dimension.from_json(name, document["space"][name]) for name in document["params"]]
        kept = {name: document[name] for name in names}
        return cls(identity=document["spec"], space=tuple(space), seeds=tuple(document["seeds"]), **kept)

    @property
    def most_epochs(self) -> int:
        """Number of epochs of the longest run that the study may make."""
        for dimension in self.space:
            if dimension.field == "epochs":
                return int(max(cast("Sequence[int]", dimension.values), default=int(dimension.high)))
        return int(self.identity["epochs"])

    def differences(self, other: StudyRequest) -> list[str]:
        """Say what another request asks for otherwise, a line for each field."""
        mine, theirs = _flattened(self.to_json()), _flattened(other.to_json())
        names = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
        return [
            f"{echoed(name)}: {echoed(mine.get(name))} in the study, {echoed(theirs.get(name))} asked for"
            for name in names
        ]


def _flattened(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, Mapping):
            found.update(_flattened(value, f"{prefix}{name}."))
        else:
            found[prefix + name] = list(value) if isinstance(value, tuple) else value
    return found


def build_request(
    base: RunSpec,
    space: Sequence[Dimension],
    *,
    objective: str,
    folds: int,
    seeds: Sequence[int],
    sampler: str,
    pruner: str | None,
    sampler_seed: int,
) -> StudyRequest:
    """Build the request of a study, and refuse settings that do not go together.

    Args:
        base: The spec of the study's runs; seed and split do not matter.
        space: The dimensions that are searched.
        objective: One of :data:`OBJECTIVES`.
        folds: 1, or the number of folds of a cross-validation.
        seeds: Seeds of a trial's runs.
        sampler: One of :data:`SAMPLERS`.
        pruner: One of :data:`PRUNERS`; None for the default: median, or none for a grid and for a length in
            iterations.
        sampler_seed: Seed of the sampler.

    Raises:
        SpecError: For an unknown word, or settings that do not go together.
    """
    check_words(objective, sampler, pruner)
    _check_folds(objective, folds)
    sampler = "tpe" if sampler == "auto" else sampler
    if sampler == "cmaes":
        _check_cmaes(space)
    by_iterations = _check_length(base, space, pruner)
    if pruner is None:
        pruner = "none" if sampler == "grid" or by_iterations else "median"
    if pruner == "wilcoxon" and folds * len(seeds) < 2:
        raise SpecError(
            "The pruner wilcoxon decides between the runs of a trial, but a trial has one.",
            "Add --seeds-per-trial 5 or --folds 5, or use the pruner median.",
        )
    identity = {name: value for name, value in base.identity().items() if name not in ("seed", "split")}
    return StudyRequest(
        identity=identity,
        space=tuple(space),
        objective=cast("Objective", objective),
        folds=folds,
        seeds=tuple(check_field("seed", seed) for seed in seeds),
        sampler=sampler,
        pruner=pruner,
        sampler_seed=sampler_seed,
    )


def check_words(objective: str, sampler: str, pruner: str | None) -> None:
    """Refuse words that :func:`build_request` does not know; raises SpecError."""
    for what, word, known in (("objective", objective, OBJECTIVES), ("sampler", sampler, SAMPLERS)):
        if word not in known:
            raise SpecError(f"Unknown {what} '{echoed(word)}': {suggestion(word, known)}")
    if pruner is not None and pruner not in PRUNERS:
        raise SpecError(f"Unknown pruner '{echoed(pruner)}': {suggestion(pruner, PRUNERS)}")


def _check_length(base: RunSpec, space: Sequence[Dimension], pruner: str | None) -> bool:
    """Tell whether the runs' length is given in iterations; refuse another length beside it, and pruning by epochs."""
    searched = {dimension.field for dimension in space}
    by_iterations = base.schedule.iterations > 0
    if by_iterations and "epochs" in searched:
        raise SpecError(
            "epochs are searched, but the length of the runs is given in iterations, and a run has one length.",
            "Search iterations, or leave them out.",
        )
    if by_iterations and pruner in ("median", "hyperband"):
        raise SpecError(
            f"The pruner {pruner} compares runs by epochs, but the length of these is given in iterations.",
            "Use --pruner none or wilcoxon, or give the length in epochs.",
        )
    return by_iterations


def _check_folds(objective: str, folds: int) -> None:
    if not 1 <= folds <= 100:
        raise SpecError(f"--folds is {folds}, but must be 1 (a single hold-out) to 100.")
    if objective == "test" and folds != 1:
        raise SpecError("--objective test judges on the official test part, which has no folds.", "Leave out --folds.")


def _check_cmaes(space: Sequence[Dimension]) -> None:
    """CMA-ES adapts the covariance of several numbers: it searches no lists, and needs two numbers at least."""
    lists = [dimension.name for dimension in space if dimension.values]
    if lists or len(space) < 2:
        why = f"{lists[0]} is a list" if lists else f"{space[0].name} is the only one"
        raise SpecError(f"The sampler cmaes searches ranges of two or more numbers, but {why}.", "Use tpe or gp.")


def check_trials(request: StudyRequest, trials: int | None) -> int:
    """Check how many trials are wanted; a grid has as many as it has points.

    Returns:
        The number of trials that the study shall have in total.

    Raises:
        SpecError: If the number is missing, below 1, or larger than the grid or than a study can be.
    """
    if request.sampler == "grid":
        points = grid_size(request.space)
        if trials is not None and trials > points:
            raise SpecError(f"The grid has {points} points, but --trials is {trials}.", f"Use --trials {points}.")
        trials = points if trials is None else trials
    if trials is None:
        raise SpecError(
            "--trials is missing: how many trials the study shall have in total.", "For example --trials 60"
        )
    if not 1 <= trials <= MOST_TRIALS:
        raise SpecError(f"--trials is {trials}, but must be 1 to {MOST_TRIALS:,}.")
    return trials


def base_spec(request: StudyRequest, execution: Mapping[str, Any]) -> RunSpec:
    """Make the spec of a study's final runs but for the parameters: the official split, seed 1.

    Raises:
        SpecError: If the storage, which others may write to, holds what no spec can be.
    """
    identity = {**request.identity, "split": OFFICIAL_SPLIT, "seed": 1}
    return RunSpec.from_json({"identity": identity, "execution": execution})


def trial_specs(
    request: StudyRequest,
    base: RunSpec,
    params: Mapping[str, Value],
    cards: Mapping[str, Card],
    study: Mapping[str, Any],
) -> list[RunSpec]:
    """Make the specs of the runs of a trial, all folds of the first seed first.

    Args:
        request: The study's request.
        base: The study's spec, from :func:`base_spec`.
        params: The trial's parameters.
        cards: Cards of model and method.
        study: What the results of the runs say of the study that they belong to.

    Raises:
        SpecError: If the parameters cannot be run together.
    """
    spec = apply_params(base, params, request.space, cards).changed(study=study)
    return [spec.changed(seed=seed, split=split) for seed in request.seeds for split in splits(request)]


def splits(request: StudyRequest) -> list[str]:
    """List the splits that the runs of a trial are judged on: the official one, or one for each fold."""
    if request.objective == "test":
        return [OFFICIAL_SPLIT]
    of = SINGLE_FOLD_OF if request.folds == 1 else request.folds
    return [f"training-fold-{fold}-of-{of}" for fold in range(1, request.folds + 1)]


def check_data(request: StudyRequest, execution: Mapping[str, Any]) -> None:
    """Refuse more folds than the data have training patients and a batch that they do not fill, before each trial does.

    Args:
        request: The study's request.
        execution: Execution fields of its runs.

    Raises:
        SpecError: If there are too few patients or cycles.
        DataError: If the data are missing or broken.
    """
    from bench.data.sources import load_dataset

    partial = request.identity["partial"] is not None
    judged = (request.identity["dataset"], request.identity.get("task", FOUR_CLASSES.id))
    dataset = load_dataset(Path(execution["data"]), *judged, allow_partial=partial, cache=Path(execution["cache"]))
    training = [recording for recording in dataset.recordings if recording.split == "train"]
    cycles, batch = sum(len(recording.cycles) for recording in training), int(request.identity["batch"])
    if batch > cycles and all(dimension.field != "batch" for dimension in request.space):
        raise SpecError(
            f"batch is {batch}, but the training part holds {counted_noun(cycles, 'cycle')}.",
            f"Use --set batch={max(1, cycles // 4)} or more data.",
        )
    patients = {recording.patient for recording in training}
    of = SINGLE_FOLD_OF if request.folds == 1 else request.folds
    if request.objective != "test" and len(patients) < of:
        raise SpecError(
            f"{of} folds need as many training patients, but the training part holds {len(patients)}.",
            "Use fewer --folds." if request.folds > 2 else "Use --objective test, or more data.",
        )
