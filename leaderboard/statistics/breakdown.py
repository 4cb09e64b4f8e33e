"""One system's runs seen from several sides: official and patient-disjoint, by device, by class, by seed, optimism.

Everything comes from the stored predictions of its runs. A *system* is the runs whose specs differ in the seed alone;
± is the sample standard deviation over them. Shapes: S runs, G groups of patient and device, P patients, k classes.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.datasets import FOUR_CLASSES, TaskCard
from bench.core.errors import ResultError
from leaderboard.metrics import Sensitivity, rate_names, rates_of
from leaderboard.results.predictions import CycleSet
from leaderboard.statistics.patient_hits import Counts, count_hits
from leaderboard.statistics.seed_spread import mean_and_deviation
from leaderboard.statistics.tested_parts import cut_to_part, tested_part
from leaderboard.store.board_rows import BoardRun
from leaderboard.store.store import Store
from leaderboard.tasks import OFFICIAL_SPLIT, judged_task

TestView = dict[str, Any]
"""Rates on one part of the test cycles: cycles, patients, Sp, Se and Score with deviations by the exact class, and by
any abnormal class where the task has that too; AS and HS where its Score is made of them."""


def all_normal(task: TaskCard) -> dict[str, float | None]:
    """What calling every cycle normal gives, without a model: on any cycles of a task, judged in any way."""
    found: dict[str, float | None] = {}
    for name, value in rates_of(100.0, 0.0, task.score).items():
        found |= {name: value, f"{name}_std": None}
    return found


@dataclass(frozen=True, eq=False)
class SystemCounts:
    """Confusion counts of a system's runs.

    Attributes:
        cycles: The judged cycles.
        groups: (G,) patient and device of each group, sorted.
        counts: (S, G, k, k) counts, rows of a matrix are true classes.
        task: What the cycles are judged as.
    """

    cycles: CycleSet
    groups: tuple[tuple[str, str], ...]
    counts: Counts
    task: TaskCard = FOUR_CLASSES

    @property
    def patients(self) -> tuple[str, ...]:
        """Names of the patients, sorted."""
        return tuple(sorted({patient for patient, _ in self.groups}))

    @property
    def devices(self) -> tuple[str, ...]:
        """Names of the recording devices, sorted."""
        return tuple(sorted({device for _, device in self.groups}))

    @property
    def has_interval(self) -> bool:
        """Whether two patients have normal and two have abnormal cycles, so that each can be left out in turn."""
        cycles = self.by_patient[0].sum(axis=-1)
        return int((cycles[:, 0] > 0).sum()) > 1 and int((cycles[:, self.task.abnormal].sum(axis=-1) > 0).sum()) > 1

    @cached_property
    def by_patient(self) -> Counts:
        """(S, P, k, k) counts of each patient, in the order of :attr:`patients`."""
        place = {patient: row for row, patient in enumerate(self.patients)}
        member = np.zeros((len(place), len(self.groups)), dtype=np.int64)
        for column, (patient, _) in enumerate(self.groups):
            member[place[patient], column] = 1
        runs, groups, *matrix = self.counts.shape
        pooled: Counts = (member @ self.counts.reshape(runs, groups, -1)).reshape(runs, len(place), *matrix)
        return pooled

    def without(self, patients: Collection[str]) -> SystemCounts:
        """Give the counts without those of some patients."""
        return self._with_groups([patient not in patients for patient, _ in self.groups])

    def of_device(self, device: str) -> SystemCounts:
        """Give the counts of the cycles that were recorded with one device."""
        return self._with_groups([name == device for _, name in self.groups])

    def _with_groups(self, keep: Sequence[bool]) -> SystemCounts:
        groups = tuple(group for group, kept in zip(self.groups, keep, strict=True) if kept)
        return replace(self, groups=groups, counts=self.counts[:, np.asarray(keep, dtype=bool)])


def system_counts(cycles: CycleSet, chosen: Sequence[NDArray[np.int64]], task: TaskCard = FOUR_CLASSES) -> SystemCounts:
    """Count the true and predicted classes of a system's runs.

    Args:
        cycles: The n judged cycles.
        chosen: (n,) predicted classes of each run, in the order of the cycles.
        task: What the cycles are judged as.
    """
    return CycleCounter(cycles, task).count(chosen)


class CycleCounter:
    """Counts predictions on one set of cycles by patient, device, true and predicted class.

    Which group each cycle belongs to is found out once, for all the systems that were judged on the set.

    Args:
        cycles: The judged cycles.
        task: What they are judged as.
    """

    def __init__(self, cycles: CycleSet, task: TaskCard = FOUR_CLASSES) -> None:
        self.cycles, self.task = cycles, task
        pairs = list(zip(cycles.patients, cycles.devices, strict=True))
        self.groups = tuple(sorted(set(pairs)))
        place = {pair: row for row, pair in enumerate(self.groups)}
        rows = np.asarray([place[pair] for pair in pairs], dtype=np.int64)
        k = len(task.classes)
        self._true = (rows * k + np.asarray(cycles.labels, dtype=np.int64)) * k

    def count(self, chosen: Sequence[NDArray[np.int64]]) -> SystemCounts:
        """Count the runs whose predicted classes, (n,) each in the order of the cycles, are given."""
        shape = (len(self.groups), len(self.task.classes), len(self.task.classes))
        counts = [np.bincount(self._true + classes, minlength=math.prod(shape)) for classes in chosen]
        return SystemCounts(self.cycles, self.groups, np.asarray(counts, dtype=np.int64).reshape(-1, *shape), self.task)


def read_system_counts(store: Store, runs: Sequence[BoardRun], rule: str) -> SystemCounts:
    """Count the stored predictions of a system's runs under a selection rule, on the part that the runs are seen on.

    Raises:
        ResultError: If a run has no predictions under the rule, or the runs were judged on different cycles.
    """
    found = store.predicted_classes([run.run_id for run in runs], rule)
    missing = [run.run_id for run in runs if run.run_id not in found]
    if missing:
        raise ResultError(f"The run {missing[0]} has no predictions under the rule '{rule}'.")
    cycles = found[runs[0].run_id][0]
    other = [run.run_id for run in runs if found[run.run_id][0].hash != cycles.hash]
    if other:
        raise ResultError(f"The runs {runs[0].run_id} and {other[0]} of one system were judged on different cycles.")
    cut = [cut_to_part(run, *found[run.run_id]) for run in runs]
    return system_counts(cut[0][0], [chosen for _, chosen in cut], runs[0].judged_task.task)


def patients_on_both_sides(
    spec: Mapping[str, Any], partial: str | None, result: Mapping[str, Any]
) -> frozenset[str] | None:
    """Name the patients with recordings in both the training and the test part that a run was made on.

    A run says itself who they are. Of one that does not (of an older version), it is known for a whole set whose card
    names them, under the official split.

    Args:
        spec: The identity fields of the run's spec.
        partial: How much of the data set there was, in words; None where all of it was.
        result: The run's result, or those of its fields that have no column on the board.

    Returns:
        The patients' names; None where they are not known.
    """
    if "patients_on_both_sides" in result:
        return frozenset(result["patients_on_both_sides"])
    card = judged_task(spec).card
    whole = card is not None and spec["split"] == OFFICIAL_SPLIT and not partial
    return (card.shared_patients or None) if card and whole else None


def patients_on_both_sides_of(run: BoardRun) -> frozenset[str] | None:
    """Name the patients in both the training and the tested part of a run on the board.

    Returns:
        The patients' names; None where they are not known, and of a part whose patients are trained on all of them.
    """
    if tested_part(run).patients_seen:
        return None
    return patients_on_both_sides(run.spec, run.partial, run.extra)


def breakdown(counts: SystemCounts, both_sides: frozenset[str] | None) -> dict[str, Any]:
    """Take a system's Score apart by patients who were trained on, by device and by class, as plain values.

    Args:
        counts: The confusion counts of the system's S runs.
        both_sides: Patients who were trained on too; None where they are not known, or are all of them.

    Returns:
        ``views`` (``official``: all test cycles, ``patient-disjoint``: those of patients who were not trained on,
        None where these are not known), ``devices`` and ``classes`` (recall in percent).
    """
    return {
        "views": {
            "official": view_of(counts),
            "patient-disjoint": None if both_sides is None else view_of(counts.without(both_sides)),
        },
        "devices": {device: view_of(counts.of_device(device)) for device in counts.devices},
        "classes": _classes(counts),
    }


def view_of(counts: SystemCounts) -> TestView:
    """Give means and deviations over the runs: cycles, patients, rates by the exact class, and ``two_class``.

    All rates are in percent. A rate without a cycle to judge is None, and so is the Score then. ``two_class`` holds the
    rates where any abnormal class is a hit; None where the task has but one.
    """
    found: TestView = {"cycles": int(counts.counts[0].sum()), "patients": len(counts.patients)}
    exact, *either = (_rates(counts, judged) for judged in counts.task.sensitivities)
    return {**found, **exact, "two_class": either[0] if either else None}


def _rates(counts: SystemCounts, judged: Sensitivity) -> dict[str, float | None]:
    matrices = counts.counts.sum(axis=1)
    task = counts.task
    normal, abnormal = count_hits(matrices, judged, task)
    sp = _percent(normal, matrices[:, 0].sum(axis=-1))
    se = _percent(abnormal, matrices[:, task.abnormal].sum(axis=(1, 2)))
    values: dict[str, Sequence[float] | None] = {"sp": sp, "se": se}
    if sp is not None and se is not None:
        by_run = [rates_of(*rates, task.score) for rates in zip(sp, se, strict=True)]
        values = {name: [rates[name] for rates in by_run] for name in rate_names(task.score)}
    found: dict[str, float | None] = {}
    for name in rate_names(task.score):
        found |= _mean_and_std(name, values.get(name))
    return found


def _percent(correct: Counts, cycles: Counts) -> list[float] | None:
    shares: NDArray[np.float64] | None = correct / cycles * 100.0 if cycles.all() else None
    return None if shares is None else shares.tolist()


def _mean_and_std(name: str, values: Sequence[float] | None) -> dict[str, float | None]:
    if values is None:
        return {name: None, f"{name}_std": None}
    spread = mean_and_deviation(values)
    return {name: spread.mean, f"{name}_std": spread.std}


def _classes(counts: SystemCounts) -> dict[str, TestView]:
    matrices = counts.counts.sum(axis=1)
    cycles = matrices.sum(axis=-1)
    return {
        name: {
            "cycles": int(cycles[0, row]),
            **_mean_and_std("recall", _percent(matrices[:, row, row], cycles[:, row])),
        }
        for row, name in enumerate(counts.task.classes)
    }


def optimism(run: BoardRun) -> float | None:
    """Give what choosing the epoch on the test part adds: the Score of ``best-test`` minus that of ``last``.

    The Scores are those by the exact class.

    Returns:
        Points; None for a run without numbers under both rules.
    """
    return _gain_of_best_test(run, "last")


def optimism_of_val(run: BoardRun) -> float | None:
    """Give what choosing the epoch on the test part adds to choosing it on held-out training patients.

    Returns:
        The Score of ``best-test`` minus that of ``best-val`` by the exact class, points; None for a run without both.
    """
    return _gain_of_best_test(run, "best-val")


def _gain_of_best_test(run: BoardRun, rule: str) -> float | None:
    if "best-test" not in run.metrics or rule not in run.metrics:
        return None
    strict = run.judged_task.task.strict
    best, other = (float(run.metrics[name][strict]["score"]) for name in ("best-test", rule))
    return best - other


def mean_of_known(values: Sequence[float | None]) -> float | None:
    """Take the mean of the values that are not None; None where all are."""
    known = [value for value in values if value is not None]
    return mean_and_deviation(known).mean if known else None
