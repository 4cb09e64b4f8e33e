"""One system's runs seen from several sides: official and patient-disjoint, by device, by class, by seed, optimism.

Everything comes from the stored predictions of its runs. A *system* is the runs whose specs differ in the seed alone;
± is the sample standard deviation over them. Shapes: S runs, G groups of patient and device, P patients.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import ResultError
from leaderboard.metrics import CLASSES, Sensitivity
from leaderboard.results.predictions import CycleSet
from leaderboard.statistics.patient_hits import Counts, count_hits
from leaderboard.statistics.seed_spread import mean_and_deviation
from leaderboard.store.board_rows import BoardRun
from leaderboard.store.store import Store

TestView = dict[str, Any]
"""Rates on one part of the test cycles: cycles, patients, 4-class and 2-class Sp, Se and Score with deviations."""

ICBHI_PATIENTS_ON_BOTH_SIDES = frozenset({"156", "218"})
"""Patients with recordings in both parts of ICBHI 2017's official split: 120 of the 2,756 test cycles (PROTOCOL)."""

ALL_NORMAL = {"sp": 100.0, "sp_std": None, "se": 0.0, "se_std": None, "score": 50.0, "score_std": None}
"""What calling every cycle normal gives, without a model: on any cycles, judged in either way."""


@dataclass(frozen=True, eq=False)
class SystemCounts:
    """Confusion counts of a system's runs.

    Attributes:
        cycles: The judged cycles.
        groups: (G,) patient and device of each group, sorted.
        counts: (S, G, 4, 4) counts, rows of a matrix are true classes.
    """

    cycles: CycleSet
    groups: tuple[tuple[str, str], ...]
    counts: Counts

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
        return int((cycles[:, 0] > 0).sum()) > 1 and int((cycles[:, 1:].sum(axis=-1) > 0).sum()) > 1

    @cached_property
    def by_patient(self) -> Counts:
        """(S, P, 4, 4) counts of each patient, in the order of :attr:`patients`."""
        place = {patient: row for row, patient in enumerate(self.patients)}
        member = np.zeros((len(place), len(self.groups)), dtype=np.int64)
        for column, (patient, _) in enumerate(self.groups):
            member[place[patient], column] = 1
        runs = len(self.counts)
        pooled: Counts = (member @ self.counts.reshape(runs, len(self.groups), -1)).reshape(runs, len(place), 4, 4)
        return pooled

    def without(self, patients: Collection[str]) -> SystemCounts:
        """Give the counts without those of some patients."""
        return self._with_groups([patient not in patients for patient, _ in self.groups])

    def of_device(self, device: str) -> SystemCounts:
        """Give the counts of the cycles that were recorded with one device."""
        return self._with_groups([name == device for _, name in self.groups])

    def _with_groups(self, keep: Sequence[bool]) -> SystemCounts:
        groups = tuple(group for group, kept in zip(self.groups, keep, strict=True) if kept)
        return SystemCounts(self.cycles, groups, self.counts[:, np.asarray(keep, dtype=bool)])


def system_counts(cycles: CycleSet, chosen: Sequence[NDArray[np.int64]]) -> SystemCounts:
    """Count the true and predicted classes of a system's runs.

    Args:
        cycles: The n judged cycles.
        chosen: (n,) predicted classes of each run, in the order of the cycles.
    """
    return CycleCounter(cycles).count(chosen)


class CycleCounter:
    """Counts predictions on one set of cycles by patient, device, true and predicted class.

    Which group each cycle belongs to is found out once, for all the systems that were judged on the set.

    Args:
        cycles: The judged cycles.
    """

    def __init__(self, cycles: CycleSet) -> None:
        self.cycles = cycles
        pairs = list(zip(cycles.patients, cycles.devices, strict=True))
        self.groups = tuple(sorted(set(pairs)))
        place = {pair: row for row, pair in enumerate(self.groups)}
        rows = np.asarray([place[pair] for pair in pairs], dtype=np.int64)
        self._true = (rows * len(CLASSES) + np.asarray(cycles.labels, dtype=np.int64)) * len(CLASSES)

    def count(self, chosen: Sequence[NDArray[np.int64]]) -> SystemCounts:
        """Count the runs whose predicted classes, (n,) each in the order of the cycles, are given."""
        size = len(self.groups) * len(CLASSES) ** 2
        counts = [np.bincount(self._true + classes, minlength=size) for classes in chosen]
        shape = (len(chosen), len(self.groups), len(CLASSES), len(CLASSES))
        return SystemCounts(self.cycles, self.groups, np.asarray(counts, dtype=np.int64).reshape(shape))


def read_system_counts(store: Store, runs: Sequence[BoardRun], rule: str) -> SystemCounts:
    """Count the stored predictions of a system's runs under a selection rule.

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
    return system_counts(cycles, [found[run.run_id][1] for run in runs])


def patients_on_both_sides(
    spec: Mapping[str, Any], partial: str | None, result: Mapping[str, Any]
) -> frozenset[str] | None:
    """Name the patients with recordings in both the training and the test part that a run was made on.

    A run says itself who they are. Of one that does not (of an older version), it is known for the whole of ICBHI 2017
    under the official split.

    Args:
        spec: The identity fields of the run's spec.
        partial: How much of the data set there was, in words; None where all of it was.
        result: The run's result, or those of its fields that have no column on the board.

    Returns:
        The patients' names; None where they are not known.
    """
    if "patients_on_both_sides" in result:
        return frozenset(result["patients_on_both_sides"])
    whole = spec["dataset"] == "icbhi" and spec["split"] == "official" and not partial
    return ICBHI_PATIENTS_ON_BOTH_SIDES if whole else None


def patients_on_both_sides_of(run: BoardRun) -> frozenset[str] | None:
    """Name the patients in both the training and the test part of a run on the board; None where they are not known."""
    return patients_on_both_sides(run.spec, run.partial, run.extra)


def breakdown(counts: SystemCounts, both_sides: frozenset[str] | None) -> dict[str, Any]:
    """Take a system's Score apart by patients who were trained on, by device and by class, as plain values.

    Args:
        counts: The confusion counts of the system's S runs.
        both_sides: Patients who were trained on too; None where they are not known.

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
    """Give means and deviations over the runs: cycles, patients, 4-class Sp, Se and Score, and the 2-class ones.

    All rates are in percent. A rate without a cycle to judge is None, and so is the Score then.
    """
    found: TestView = {"cycles": int(counts.counts[0].sum()), "patients": len(counts.patients)}
    return {**found, **_rates(counts, "4class"), "two_class": _rates(counts, "2class")}


def _rates(counts: SystemCounts, judged: Sensitivity) -> dict[str, float | None]:
    matrices = counts.counts.sum(axis=1)
    normal, abnormal = count_hits(matrices, judged)
    sp = _percent(normal, matrices[:, 0].sum(axis=-1))
    se = _percent(abnormal, matrices[:, 1:].sum(axis=(1, 2)))
    score = None if sp is None or se is None else (sp + se) / 2.0
    return {**_mean_and_std("sp", sp), **_mean_and_std("se", se), **_mean_and_std("score", score)}


def _percent(correct: Counts, cycles: Counts) -> NDArray[np.float64] | None:
    return correct / cycles * 100.0 if cycles.all() else None


def _mean_and_std(name: str, values: NDArray[np.float64] | None) -> dict[str, float | None]:
    if values is None:
        return {name: None, f"{name}_std": None}
    spread = mean_and_deviation(values.tolist())
    return {name: spread.mean, f"{name}_std": spread.std}


def _classes(counts: SystemCounts) -> dict[str, TestView]:
    matrices = counts.counts.sum(axis=1)
    cycles = matrices.sum(axis=-1)
    return {
        name: {
            "cycles": int(cycles[0, row]),
            **_mean_and_std("recall", _percent(matrices[:, row, row], cycles[:, row])),
        }
        for row, name in enumerate(CLASSES)
    }


def optimism(run: BoardRun) -> float | None:
    """Give what choosing the epoch on the test part adds: the 4-class Score of ``best-test`` minus that of ``last``.

    Returns:
        Points; None for a run without numbers under both rules.
    """
    return _gain_of_best_test(run, "last")


def optimism_of_val(run: BoardRun) -> float | None:
    """Give what choosing the epoch on the test part adds to choosing it on held-out training patients.

    Returns:
        The 4-class Score of ``best-test`` minus that of ``best-val``, points; None for a run without both.
    """
    return _gain_of_best_test(run, "best-val")


def _gain_of_best_test(run: BoardRun, rule: str) -> float | None:
    if "best-test" not in run.metrics or rule not in run.metrics:
        return None
    best, other = (float(run.metrics[name]["4class"]["score"]) for name in ("best-test", rule))
    return best - other


def mean_of_known(values: Sequence[float | None]) -> float | None:
    """Take the mean of the values that are not None; None where all are."""
    known = [value for value in values if value is not None]
    return mean_and_deviation(known).mean if known else None
