"""Rows of the board as values: what the JSON of the commands holds by name, as attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


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
        dataset: ``icbhi``, or ``demo`` for simulated data.
        seed: Its seed.
        status: ``finished`` or ``failed``.
        study: The search that it belongs to.
        partial: How much of the data set there was, where not all of it.
        profile: Which recipes its spec began with.
        created: When it was made, UTC, ISO 8601.
        seconds: How long it took; None for a submission.
        cycles_per_second: Training speed.
        sp: Specificity of the last epoch, percent.
        se: 4-class sensitivity of the last epoch, percent.
        score: Score of the last epoch, percent.
        rules: The selection rules that it has numbers under.
        error: What stopped a failed run.
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
        se: 4-class sensitivity.
        se_std: Sample standard deviation over seeds.
        score: Score, the mean of Sp and Se.
        score_std: Sample standard deviation over seeds.
        two_class: The same rates where any abnormal class is a hit.
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
    two_class: Mapping[str, Any]
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
