"""ICBHI's small text files: the split, the diagnoses and the demographic table."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bench.core.text import decimal_number, echoed
from bench.data.datasets.icbhi.annotation import LINE_END
from bench.data.datasets.icbhi.files import join_key
from bench.data.datasets.icbhi.pinned import SPLITS
from bench.data.faults import FileProblem

PATIENT = re.compile(r"([0-9]{3})(?:\.0*)?")
"""A patient's number; programs that took it for a decimal number write ``142.0``."""

HEADER = re.compile(r"[^0-9]*\b(?:patient|id|diagnosis|age|sex|gender)\b[^0-9]*", re.IGNORECASE)
"""The line of names that some copies of the companion files begin with."""

MERGE_MARKS = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")
"""Beginnings of the lines that an unfinished merge leaves in a text file."""


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


def _numbered_lines(content: bytes) -> Iterator[tuple[int, str]]:
    """The lines that hold anything, with their numbers."""
    # Latin-1 reads any byte: a strange one then is a strange field, which its reader names with the line.
    text = content.decode("latin-1").removeprefix("\u00ef\u00bb\u00bf")
    for number, line in enumerate(LINE_END.split(text), start=1):
        if line.strip():
            yield number, line.strip()


def _table_fields(content: bytes) -> Iterator[tuple[int, list[str]]]:
    """The fields of each line of a companion file, separated by commas or spaces, without the line of names."""
    for place, (number, line) in enumerate(_numbered_lines(content)):
        if place == 0 and HEADER.fullmatch(line.replace("_", " ")):
            continue
        yield number, [field.strip() for field in line.split(",")] if "," in line else line.split()


def _patient(text: str) -> str | None:
    found = PATIENT.fullmatch(text)
    return found[1] if found else None


def _merge_problem(lines: list[tuple[int, str]]) -> FileProblem | None:
    """What to do about the marks of an unfinished merge, all in one sentence."""
    marks = [(number, line[:7]) for number, line in lines if line.startswith(MERGE_MARKS)]
    if not marks:
        return None
    where = ", ".join(f"{number} ('{mark}')" for number, mark in marks)
    words = f"an unfinished merge left marks in lines {where}: keep one version of what stands between, and delete them"
    return FileProblem("split-format", words, marks[0][0])


def parse_split(content: bytes) -> Split:
    """Read a split file's content: a recording's name and ``train`` or ``test`` per line.

    Two lines may name one recording by two devices (``226_1b1_Pl``), as long as both put it on the same side.
    """
    sides: dict[str, str] = {}
    names: dict[str, str] = {}
    problems: list[FileProblem] = []
    notes: list[str] = []
    lines = list(_numbered_lines(content))
    merge = _merge_problem(lines)
    if merge is not None:
        problems.append(merge)
    for number, line in lines:
        fields = line.split()
        if line.startswith(MERGE_MARKS):
            continue
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
    for number, fields in _table_fields(content):
        patient = _patient(fields[0])
        if len(fields) != 2 or patient is None:
            problems.append(
                FileProblem("diagnosis-format", f"'{echoed(' '.join(fields))}' is no patient and diagnosis", number)
            )
        else:
            found[patient] = fields[1]
    return found, problems


def _number_or_none(text: str) -> float | None:
    return None if text in ("NA", "") else decimal_number(text)


def parse_demographics(content: bytes) -> tuple[dict[str, Demographics], list[FileProblem]]:
    """Read a demographic file's content: patient, age, sex, adult's BMI, child's weight and height per line.

    Returns:
        Demographics by patient, and the lines that are not sound.
    """
    found: dict[str, Demographics] = {}
    problems = []
    for number, fields in _table_fields(content):
        try:
            name, age, sex, *body = fields
            bmi, weight, height = map(_number_or_none, body)
            patient = _patient(name)
            if patient is None:
                raise ValueError(name)
            found[patient] = Demographics(_number_or_none(age), None if sex == "NA" else sex, bmi, weight, height)
        except ValueError:
            shown = echoed(" ".join(fields))
            expected = "patient, age, sex, BMI, weight and height"
            problems.append(FileProblem("demographics-format", f"'{shown}' is not {expected}", number))
    return found, problems
