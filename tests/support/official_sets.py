"""Made-up test cycles that tests take for the official ones: nothing of ICBHI is part of the tests."""

from __future__ import annotations

import itertools

from board_runs import cycle_set
from site_boards import cycles_of_patients

from bench.data.datasets.icbhi.pinned import BY_PATIENT
from leaderboard.results.predictions import CycleSet


def official_like() -> CycleSet:
    """Made-up recordings with the official test part's numbers of cycles for each patient and class."""
    keys: list[tuple[str, int]] = []
    labels: list[int] = []
    patients: list[str] = []
    for (side, patient), count in BY_PATIENT.items():
        if side == "test":
            classes = [label for label, number in enumerate(count[1:]) for _ in range(number)]
            keys += [(f"{patient}_1b1_Al_sc_Meditron", index) for index in range(len(classes))]
            labels += classes
            patients += [patient] * len(classes)
    return CycleSet(tuple(keys), tuple(labels), tuple(patients), ("Meditron",) * len(keys))


def many_patients(n: int = 600) -> CycleSet:
    """Cycles of forty patients, with the labels that the made-up scores are made for."""
    whole = cycle_set(n)
    patients = tuple(f"{101 + i % 40}" for i in range(n))
    keys = tuple((f"{patient}_1b1_Al_sc_Meditron", i) for i, patient in enumerate(patients))
    return CycleSet(keys, whole.labels, patients, ("Meditron",) * n)


def moved_labels(cycles: CycleSet, moves: int = 8) -> CycleSet:
    """The same cycles with labels exchanged within patients: every count of a patient and a class stays."""
    labels = list(cycles.labels)
    places: dict[str, list[int]] = {}
    for place, patient in enumerate(cycles.patients):
        places.setdefault(patient, []).append(place)
    pairs = [pair for of_patient in places.values() for pair in itertools.pairwise(of_patient)]
    for i, j in [(i, j) for i, j in pairs if labels[i] != labels[j]][:moves]:
        labels[i], labels[j] = labels[j], labels[i]
    return CycleSet(cycles.keys, tuple(labels), cycles.patients, cycles.devices)


MADE_UP = frozenset(cycles.hash for cycles in (cycle_set(), cycles_of_patients(), many_patients(), official_like()))
"""Hashes of the sets that the suite's boards are judged on."""

OFFICIAL = "ICBHI 2017, official split"
"""Title of the section of runs on the official test cycles."""

NOT_OFFICIAL = "ICBHI 2017, not the official test cycles"
"""Title, before the hash, of a section of runs that say so wrongly."""
