"""ICBHI's small text files: the split, the diagnoses and the demographic table."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bench.core.text import decimal_number, echoed
from bench.data.datasets.icbhi.annotation import LINE_END
from bench.data.datasets.icbhi.pinned import SPLITS
from bench.data.faults import FileProblem
from bench.data.files import join_key

PATIENT = re.compile(r"[0-9]{3}")


@dataclass(frozen=True)
class Split:
    """The content of a split file.

    Attributes:
        sides: ``train`` or ``test`` by join key.
        names: The name that the file gives to each recording, by join key.
        problems: What is wrong, by line.
        notes: Sentences that are worth reading and change nothing.
    """

    sides: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[FileProblem, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Hash over the normalised lines; ``bench.data.datasets.icbhi.pinned.SPLIT_SHA256`` says how."""
        lines = sorted(f"{key} {side}\n" for key, side in self.sides.items())
        return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclass(frozen=True)
class Demographics:
    """One patient's line of the demographic file; None stands for ``NA``.

    Attributes:
        age: Years.
        sex: ``F`` or ``M``.
        adult_bmi: Body-mass index of an adult, kg/m².
        child_weight: Weight of a child, kg.
        child_height: Height of a child, cm.
    """

    age: float | None
    sex: str | None
    adult_bmi: float | None
    child_weight: float | None
    child_height: float | None


def _numbered_fields(content: bytes, separator: str = r"\s+") -> Iterator[tuple[int, list[str]]]:
    # Latin-1 reads any byte: a strange one then is a strange field, which its reader names with the line.
    text = content.decode("latin-1").removeprefix("\u00ef\u00bb\u00bf")
    for number, line in enumerate(LINE_END.split(text), start=1):
        if line.strip():
            yield number, re.split(separator, line.strip())


def parse_split(content: bytes) -> Split:
    """Read a split file's content: a recording's name and ``train`` or ``test`` per line.

    Two lines may name one recording by two devices (``226_1b1_Pl``), as long as both put it on the same side.
    """
    sides: dict[str, str] = {}
    names: dict[str, str] = {}
    problems: list[FileProblem] = []
    notes: list[str] = []
    for number, fields in _numbered_fields(content):
        key = join_key(fields[0])
        if key is None or len(fields) != 2 or fields[1] not in SPLITS:
            shown = echoed(" ".join(fields))
            problems.append(FileProblem("split-format", f"'{shown}' is no recording with 'train' or 'test'", number))
        elif sides.setdefault(key, fields[1]) != fields[1]:
            clash = f"{fields[0]} is put into {fields[1]}, but an earlier line puts it into {sides[key]}"
            problems.append(FileProblem("split-conflict", clash, number))
        elif names.setdefault(key, fields[0]) != fields[0]:
            notes.append(f"The split file names one recording twice: {names[key]} and {fields[0]}.")
    return Split(sides, names, tuple(problems), tuple(notes))


def parse_diagnoses(content: bytes) -> tuple[dict[str, str], list[FileProblem]]:
    """Read a diagnosis file's content: patient and diagnosis per line.

    Returns:
        Diagnosis by patient, and the lines that are not sound.
    """
    found: dict[str, str] = {}
    problems = []
    for number, fields in _numbered_fields(content, r"[,\s]+"):
        if len(fields) != 2 or not PATIENT.fullmatch(fields[0]):
            problems.append(
                FileProblem("diagnosis-format", f"'{echoed(' '.join(fields))}' is no patient and diagnosis", number)
            )
        else:
            found[fields[0]] = fields[1]
    return found, problems


def _number_or_none(text: str) -> float | None:
    return None if text == "NA" else decimal_number(text)


def parse_demographics(content: bytes) -> tuple[dict[str, Demographics], list[FileProblem]]:
    """Read a demographic file's content: patient, age, sex, adult's BMI, child's weight and height per line.

    Returns:
        Demographics by patient, and the lines that are not sound.
    """
    found: dict[str, Demographics] = {}
    problems = []
    for number, fields in _numbered_fields(content):
        try:
            patient, age, sex, *body = fields
            bmi, weight, height = map(_number_or_none, body)
            if not PATIENT.fullmatch(patient):
                raise ValueError(patient)
            found[patient] = Demographics(_number_or_none(age), None if sex == "NA" else sex, bmi, weight, height)
        except ValueError:
            shown = echoed(" ".join(fields))
            expected = "patient, age, sex, BMI, weight and height"
            problems.append(FileProblem("demographics-format", f"'{shown}' is not {expected}", number))
    return found, problems
