"""Pinned facts of the official ICBHI 2017 set: counts and a hash, by which a copy on disk is judged.

Counts are of the 920 annotation files and the official split; they equal the challenge's and the paper's (Table 1 of
Rocha et al. 2019: 6,898 cycles; Patch-Mix CL section 3.1: 4,142 train and 2,756 test cycles). Class order everywhere:
normal, crackle, wheeze, both.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

CLASSES = ("normal", "crackle", "wheeze", "both")
"""Names of the labels 0 to 3."""

SPLITS = ("train", "test")

RECORDINGS = 920
"""Recordings of the official set."""

RATES = (4000, 10000, 44100)
"""Samples per second that occur in the official set (90, 6 and 824 recordings)."""

SPLIT_SHA256 = "5f76949642262cd30ddd30485f8a6a0f8c1c518939296fbfefefd115be0ed689"
"""SHA-256 over the sorted lines ``<patient>_<index>_<location>_<mode> <train|test>``, each ended by a line feed.

The device is left out, because copies of the split file differ in it (see ``ALIASES``); line ends and order do not
count either.
"""

ALIASES = {"226_1b1_Pl_sc_Meditron": "226_1b1_Pl_sc_LittC2SE"}
"""Names in copies of the split file, and the names of the same recordings in the archive."""


class Count(NamedTuple):
    """A number of recordings, and the numbers of their cycles per class."""

    recordings: int
    normal: int
    crackle: int
    wheeze: int
    both: int

    @property
    def cycles(self) -> int:
        """Cycles of all classes."""
        return sum(self[1:])


BY_DEVICE = {
    ("train", "AKGC417L"): Count(361, 982, 996, 255, 277),
    ("train", "Litt3200"): Count(5, 11, 3, 19, 8),
    ("train", "LittC2SE"): Count(87, 347, 77, 126, 44),
    ("train", "Meditron"): Count(86, 723, 139, 101, 34),
    ("test", "AKGC417L"): Count(285, 940, 547, 245, 104),
    ("test", "Litt3200"): Count(55, 325, 26, 93, 17),
    ("test", "Meditron"): Count(41, 314, 76, 47, 22),
}
"""Per split and device; no LittC2SE recording is in the test split."""

BY_SPLIT = {"train": Count(539, 2063, 1215, 501, 363), "test": Count(381, 1579, 649, 385, 143)}

BY_LOCATION = {
    "Al": 162,
    "Ar": 168,
    "Ll": 77,
    "Lr": 112,
    "Pl": 139,
    "Pr": 132,
    "Tc": 130,
}
"""Recordings per chest location."""

BY_MODE = {"mc": 732, "sc": 188}
"""Recordings per acquisition mode (multi-channel, single-channel)."""

RESAMPLED = {16000: "icbhi-16khz", 4000: "icbhi-4khz"}
"""By their samples per second, the copies of the wild that were resampled as a whole: data sets of their own."""

DEVICE_RATES = {"AKGC417L": 44100, "LittC2SE": 44100, "Litt3200": 4000, "Meditron": 44100}
"""Samples per second that each device was recorded with, but for the patients of ``MEDITRON_RATES``."""

MEDITRON_RATES = {**dict.fromkeys(("110", "112", "120", "157", "166", "218", "222"), 4000), "223": 10000}
"""Samples per second of the Meditron's recordings of some patients: 30 recordings at 4 kHz, and 6 at 10 kHz."""

SHARED_TEST_SHA256 = frozenset(
    """
    c689bb4f 0e445e05 7688ac2a 3d383a8a 3339de80 fa0b8db7 1e5db1a2 94d361ab 6fe165fe d9e99926 aef30cf5 b1ee24b6
    """.split()
)
"""Beginnings of the SHA-256 of the names (without device) of the tested recordings of the two patients, 156 and 218,
who are in both parts. All recordings of any other patient are in the same part, which ``BY_PATIENT`` tells."""


class _PatientRow(NamedTuple):
    """A line of ``patients.csv``: the recordings and cycles that a patient has in a part.

    ``sha256`` is the beginning of a hash over the cycles and labels of a tested patient
    (:func:`bench.data.datasets.icbhi.test_part.patient_hashes`).
    """

    patient: str
    split: str
    counts: Count
    sha256: str


def _patient_rows() -> list[_PatientRow]:
    text = Path(__file__).with_name("patients.csv").read_text(encoding="ascii")
    lines = [line.split(",") for line in text.splitlines()[1:]]
    return [_PatientRow(patient, split, Count(*map(int, numbers)), end) for patient, split, *numbers, end in lines]


_PATIENTS = _patient_rows()

BY_PATIENT = {(row.split, row.patient): row.counts for row in _PATIENTS}
"""Per split and patient; 156 and 218 are in both splits, so that 126 patients make 128 rows."""

TEST_PATIENT_SHA256 = {row.patient: row.sha256 for row in _PATIENTS if row.split == "test"}
"""By patient of the test part, the beginning of a hash over their cycles and labels."""
