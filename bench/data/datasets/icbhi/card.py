"""The cards of ICBHI 2017, and of its copies that were resampled as a whole."""

from __future__ import annotations

from dataclasses import replace

from bench.core.datasets import FOUR_CLASSES, PATIENT_DISJOINT, DatasetCard
from bench.core.registry import Registration
from bench.data.datasets.icbhi.pinned import BY_DEVICE, BY_PATIENT, BY_SPLIT, RATES, RECORDINGS, RESAMPLED

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

CITATION = """@article{rocha2019open,
  author = {Rocha, Bruno M. and others},
  title = {An open access database for the evaluation of respiratory sound classification algorithms},
  journal = {Physiological Measurement},
  volume = {40},
  number = {3},
  pages = {035001},
  year = {2019}
}"""

_PATIENTS = {side: frozenset(patient for split, patient in BY_PATIENT if split == side) for side in ("train", "test")}

CARD = DatasetCard(
    id="icbhi",
    title="ICBHI 2017",
    summary="920 recordings of 126 patients with 6,898 annotated respiratory cycles: crackles, wheezes, both, neither.",
    source="Rocha et al., Physiological Measurement 40 (2019) 035001; official split of the ICBHI 2017 challenge",
    citation=CITATION,
    owner="ICBHI 2017 Challenge, https://bhichallenge.med.auth.gr",
    licence="for research use; no licence is stated",
    obtain="Fetch it with `bench data fetch`, put its files there by hand, or name their folder with --data.",
    url="https://bhichallenge.med.auth.gr",
    tasks=(TASK,),
    recordings=RECORDINGS,
    patients=_PATIENTS["train"] | _PATIENTS["test"],
    shared_patients=_PATIENTS["train"] & _PATIENTS["test"],
    devices=tuple(sorted({device for _, device in BY_DEVICE})),
    sites=(
        "Lab3R, University of Aveiro, and Hospital Infante D. Pedro (Portugal)",
        "Papanikolaou General Hospital, Thessaloniki, and General Hospital of Imathia, Naousa (Greece)",
    ),
    rates=RATES,
    primary=True,
    environment="BENCH_DATA",
    folder="icbhi",
    facts={
        "files by hand": "ICBHI_final_database.zip (or its unpacked folder), ICBHI_challenge_train_test.txt, "
        "ICBHI_challenge_diagnosis.txt, ICBHI_challenge_demographic_information.txt"
    },
)


def _resampled(rate: int, name: str) -> DatasetCard:
    """The card of a copy at another rate: the same recordings, labels and tasks, and never the official set."""
    title = f"{CARD.title} resampled to {rate // 1000} kHz"
    return replace(
        CARD,
        id=name,
        title=title,
        summary=f"The recordings of {CARD.title}, all at {rate // 1000} kHz, as copies of the set have them.",
        obtain="It is a copy that somebody resampled: name its folder with --data. The official set is the one that "
        "`bench data fetch` gets.",
        tasks=(replace(TASK, judged_sets=frozenset()),),
        rates=(rate,),
        primary=False,
        environment=None,
        folder=name,
        published=None,
    )


REGISTRATIONS = (
    Registration(CARD, "bench.data.datasets.icbhi.reader:FetchingReader"),
    *(
        Registration(_resampled(rate, name), "bench.data.datasets.icbhi.reader:Reader")
        for rate, name in RESAMPLED.items()
    ),
)
