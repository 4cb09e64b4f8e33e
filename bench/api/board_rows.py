"""Rows of the board as values: what the JSON of the commands holds by name, as attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from bench.core.datasets import FOUR_CLASSES

if TYPE_CHECKING:
    from leaderboard.tables.board_tables import Section


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """One run of the board, as ``bench board list`` shows it.

    Attributes:
        run_id: Its id.
        kind: ``run``, ``trial`` of a search, ``submission`` of a system from outside, ``part`` of a composite, or
            ``composite`` or ``ensemble`` for what is combined of runs.
        name: The name of a submitted system; None for a run.
        model: Model id, or what a submission states.
        method: Method id, or what a submission states.
        pretrain: What it started from.
        dataset: Id of the data set.
        seed: Its seed.
        status: ``finished`` or ``failed``.
        study: The search that it belongs to.
        partial: How much of the data set there was, where not all of it.
        profile: Which recipes its spec began with.
        created: When it was made, UTC, ISO 8601.
        seconds: How long it took; None for a submission.
        cycles_per_second: Training speed.
        sp: Specificity of the last epoch, percent.
        se: Sensitivity of the last epoch by the exact class, percent.
        score: Score of the last epoch, percent.
        rules: The selection rules that it has numbers under.
        error: What stopped a failed run.
        task: Id of the task.
        classes: Names of its classes, the normal one first.
        as_: Mean of Sp and Se of the last epoch, percent, where the Score is made of it (``as`` in a document).
        hs: Harmonic mean of Sp and Se of the last epoch, percent, where the Score is made of it.
    """

    run_id: str
    kind: str
    name: str | None
    model: str
    method: str
    pretrain: str
    dataset: str
    seed: int
    status: str
    study: str | None
    partial: str | None
    profile: str
    created: str
    seconds: float | None
    cycles_per_second: float | None
    sp: float | None
    se: float | None
    score: float | None
    rules: Sequence[str]
    error: str | None
    task: str = FOUR_CLASSES.id
    classes: Sequence[str] = FOUR_CLASSES.classes
    as_: float | None = None
    hs: float | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> RunRow:
        """A row of the table of runs."""
        return cls(**_fields(row, cls))


OF_TASKS = ("task", "classes", "as_", "hs")
"""What a run row says of another task than the four classes."""


def columns_of(runs: Sequence[RunRow]) -> dict[str, list[Any]]:
    """Runs as columns by name, as in a document: those of tasks where a run is of another one than the four classes."""
    has_tasks = any(run.task != FOUR_CLASSES.id for run in runs)
    names = [field.name for field in fields(RunRow) if has_tasks or field.name not in OF_TASKS]
    return {name.rstrip("_"): [_cell(getattr(run, name)) for run in runs] for name in names}


def _cell(value: Any) -> Any:
    """A value as one of a data frame, which holds lists alone."""
    return list(value) if isinstance(value, tuple) else value


def _fields(row: Mapping[str, Any], cls: type) -> dict[str, Any]:
    """The values of a row of a table by the names of a class's fields; ``as`` is none that Python takes."""
    known = {field.name for field in fields(cls)}
    named = {"as_" if name == "as" else name: value for name, value in row.items()}
    return {name: value for name, value in named.items() if name in known}


@dataclass(frozen=True, kw_only=True)
class SystemRow:
    """One row of the board: runs whose specs differ in nothing but the seed. Rates are means over seeds, in percent.

    Attributes:
        section: Title of the section that it stands in; rows of different sections are not comparable.
        rank: The best rank that the data leave open; None where the section is not ranked.
        ranks: The best and the worst rank that the data leave open.
        place: Its place by Score alone.
        ci95: 95 % interval of the Score, over patients and, where ``covers_seeds``, over seeds.
        degenerate: Whether nothing varies, so that there is no interval.
        covers_seeds: Whether the interval is of the method (other seeds), or of these runs alone.
        kind: ``run``, ``submission``, ``composite`` or ``ensemble``.
        name: The name of a submitted system; None for runs.
        model: Model id, or what a submission states.
        method: Method id, or what a submission states.
        pretrain: What it started from.
        differs: The settings that tell it from other rows of its model and method.
        study: The search that chose its settings, and what it cost.
        seeds: The seeds of its runs.
        run_ids: The ids of its runs, in the order of ``seeds``.
        sp: Specificity.
        sp_std: Sample standard deviation over seeds; None for one seed, as those that follow.
        se: Sensitivity by the exact class.
        se_std: Sample standard deviation over seeds.
        score: Score as the task has it: the mean of Sp and Se, or of AS and HS.
        score_std: Sample standard deviation over seeds.
        two_class: The same rates where any abnormal class is a hit; None of a task of two classes.
        scores: The Score of each seed.
        optimism: Score of ``best-test`` minus that of ``last``.
        optimisms: The same by seed.
        optimism_of_val: Score of ``best-test`` minus that of ``best-val``.
        patient_disjoint: The rates without the patients who were trained on too; None where that is not known.
        devices: The rates by recording device.
        classes: The recall by class.
        state: What stands behind the numbers: ``recomputed``, ``confirmed``, ``rerun``.
        epochs: Epochs of the training; None for a submission that does not say.
        selected_epochs: The epoch that the rule chose, by seed.
        below_min_se: Seeds whose run has no epoch above the least Se.
        cycles: How many cycles were judged.
        judged_set: Hash of the judged cycles.
        inputs: What a system uses beside the sound of one cycle.
        key: The public key that a submission is signed with.
        marks: Reasons to look twice, each with its sentence.
        partial: How much of the data set there was, where not all of it.
        profile: Which recipes its spec began with.
        spec: The identity fields of its first run.
        dataset: Id of the data set.
        task: Id of the task.
        part: The tested part that the numbers are of; None where the task has one.
        patients_seen: Whether the patients of the part were seen in training.
        as_: Mean of Sp and Se, where the Score is made of it (``as`` in a document).
        as_std: Sample standard deviation over seeds.
        hs: Harmonic mean of Sp and Se, where the Score is made of it.
        hs_std: Sample standard deviation over seeds.
    """

    section: str
    rank: int | None
    ranks: Sequence[int] | None
    place: int | None
    ci95: Sequence[float] | None
    degenerate: bool | None
    covers_seeds: bool | None
    kind: str
    name: str | None
    model: str
    method: str
    pretrain: str
    differs: Mapping[str, Any]
    study: Mapping[str, Any] | None
    seeds: Sequence[int]
    run_ids: Sequence[str]
    sp: float
    sp_std: float | None
    se: float
    se_std: float | None
    score: float
    score_std: float | None
    two_class: Mapping[str, Any] | None
    scores: Sequence[float]
    optimism: float | None
    optimisms: Sequence[float | None]
    optimism_of_val: float | None
    patient_disjoint: Mapping[str, Any] | None
    devices: Mapping[str, Any] | None
    classes: Mapping[str, Any] | None
    state: str
    epochs: int | None
    selected_epochs: Sequence[int | None]
    below_min_se: Sequence[int]
    cycles: int | None
    judged_set: str | None
    inputs: Mapping[str, Any]
    key: str | None
    marks: Sequence[Mapping[str, Any]]
    partial: str | None
    profile: str
    spec: Mapping[str, Any] = field(repr=False)
    dataset: str
    task: str = FOUR_CLASSES.id
    part: str | None = None
    patients_seen: bool = False
    as_: float | None = None
    as_std: float | None = None
    hs: float | None = None
    hs_std: float | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any], section: Section) -> SystemRow:
        """A row of a section of the board."""
        seen = section.part is not None and section.part.patients_seen
        told = {"section": section.title, "dataset": row["spec"]["dataset"], "task": section.task.id}
        return cls(**_fields({**row, **told, "patients_seen": seen}, cls))
