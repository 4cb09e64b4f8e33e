"""The card of ICBHI 2017."""

from __future__ import annotations

from dataclasses import replace

from bench.core.datasets import FOUR_CLASSES, PATIENT_DISJOINT, DatasetCard
from bench.core.registry import Registration
from bench.data.datasets.icbhi.pinned import BY_DEVICE, BY_PATIENT, BY_SPLIT, RATES, RECORDINGS

OFFICIAL_SET = "dd0f88f651641888d5309bc0d71217eb59bcbafc60b2912fd22bbed388ded153"
"""Hash of the 2,756 cycles of the official test part, from the 920 annotation files of the owners."""

SHARED_PATIENTS = ("156", "218")
"""Patients with recordings in the training and in the test part."""

_COUNTS = {split: tuple(count[1:]) for split, count in BY_SPLIT.items()}
_SHARED = [BY_PATIENT["test", patient][1:] for patient in SHARED_PATIENTS]
_DISJOINT = tuple(whole - sum(shared) for whole, *shared in zip(_COUNTS["test"], *_SHARED, strict=True))

TASK = replace(
    FOUR_CLASSES,
    counts={**_COUNTS, PATIENT_DISJOINT: _DISJOINT},
    judged_sets=frozenset({OFFICIAL_SET}),
)

CARD = DatasetCard(
    id="icbhi",
    title="ICBHI 2017",
    summary="920 recordings of 126 patients with 6,898 annotated respiratory cycles: crackles, wheezes, both, neither.",
    source="Rocha et al., Physiological Measurement 40 (2019) 035001; official split of the ICBHI 2017 challenge",
    owner="ICBHI 2017 Challenge, https://bhichallenge.med.auth.gr",
    licence="for research use; no licence is stated",
    obtain="Fetch it with `bench data fetch`, put its files there by hand, or name their folder with --data.",
    url="https://bhichallenge.med.auth.gr",
    tasks=(TASK,),
    recordings=RECORDINGS,
    patients=frozenset(map(str, range(101, 227))),
    shared_patients=frozenset(SHARED_PATIENTS),
    devices=tuple(sorted({device for _, device in BY_DEVICE})),
    rates=RATES,
    primary=True,
    environment="BENCH_DATA",
    folder="icbhi",
)

REGISTRATIONS = (Registration(CARD, "bench.data.datasets.icbhi.reader:Reader"),)
