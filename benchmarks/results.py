"""What was measured: results, the report that holds them with their machine, and its JSON form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.core.errors import DataError, SpecError
from bench.core.files import write_json
from bench.core.timing import Timing

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Result:
    """One way of doing one piece of work.

    Attributes:
        name: Benchmark, and the way where there are several.
        unit: What is counted, e.g. ``cycles``.
        work: Units that one call does.
        ours: Seconds of a call.
        reference: Seconds of the plain reference for the same work; None where there is none.
        ratio: How many times as long the reference takes, pass by pass; None without one.
        reference_is: What the reference is, one sentence.
        facts: More about it (a share of the peak, say), by name.
        peak_memory_mib: Largest memory of a process that does nothing but this; None where it was not measured.
        reference_peak_memory_mib: The same of the reference.
    """

    name: str
    unit: str
    work: float
    ours: Timing
    reference: Timing | None
    ratio: Timing | None
    reference_is: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    peak_memory_mib: float | None = None
    reference_peak_memory_mib: float | None = None

    @property
    def rate(self) -> float:
        """Units a second."""
        return self.work / max(self.ours.median, 1e-12)

    def to_json(self) -> dict[str, Any]:
        """The result as the document keeps it."""
        return {
            "name": self.name,
            "unit": self.unit,
            "work": self.work,
            "rate": round(self.rate, 4),
            "ours": _timing_json(self.ours, "seconds"),
            "reference": None if self.reference is None else _timing_json(self.reference, "seconds"),
            "ratio": None if self.ratio is None else _timing_json(self.ratio, "of each pass"),
            "reference is": self.reference_is,
            "peak memory MiB": self.peak_memory_mib,
            "reference peak memory MiB": self.reference_peak_memory_mib,
            "facts": dict(self.facts),
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Result:
        """Read a result.

        Raises:
            KeyError: If a field is missing.
        """
        return cls(
            name=row["name"],
            unit=row["unit"],
            work=row["work"],
            ours=Timing(tuple(row["ours"]["seconds"])),
            reference=Timing(tuple(row["reference"]["seconds"])) if row["reference"] else None,
            ratio=Timing(tuple(row["ratio"]["of each pass"])) if row["ratio"] else None,
            reference_is=row["reference is"],
            facts=row["facts"],
            peak_memory_mib=row["peak memory MiB"],
            reference_peak_memory_mib=row["reference peak memory MiB"],
        )


def _timing_json(timing: Timing, values: str) -> dict[str, Any]:
    return {
        "median": float(f"{timing.median:.6g}"),
        "noise": round(timing.noise, 5),
        values: [float(f"{value:.6g}") for value in timing.seconds],
    }


@dataclass(frozen=True, kw_only=True)
class Report:
    """Results of one machine on one day.

    Attributes:
        setting: How they were measured: device, threads, passes, clock, …
        machine: Hardware, versions of packages and of the code.
        results: The results.
        failed: Benchmarks that failed, each with its reason.
        note: What a reader must know, e.g. that the machine was busy.
        date: When, in UTC.
    """

    setting: Mapping[str, Any]
    machine: Mapping[str, Any]
    results: tuple[Result, ...]
    failed: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    date: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def to_json(self) -> dict[str, Any]:
        """The document."""
        return {
            "format": FORMAT,
            "date": self.date,
            "note": self.note,
            "setting": dict(self.setting),
            "machine": dict(self.machine),
            "results": [result.to_json() for result in self.results],
            "failed": dict(self.failed),
        }

    def write(self, path: Path) -> None:
        """Write the document at once, or not at all."""
        write_json(path, self.to_json())

    def joined(self, later: Report) -> Report:
        """This report with the results of a later one of the same setting, which replace those of the same name.

        Raises:
            SpecError: If the settings or the machines differ.
        """
        differing = [name for name in self.setting if self.setting[name] != later.setting.get(name)]
        if differing or self.machine["hardware"]["cpu"] != later.machine["hardware"]["cpu"]:
            raise SpecError(
                f"Reports of different {'settings (' + ', '.join(differing) + ')' if differing else 'machines'} cannot "
                "be joined.",
                "Use the same options, or another file.",
            )
        new = {result.name for result in later.results}
        kept = tuple(result for result in self.results if result.name not in new)
        notes = dict.fromkeys(note for note in (self.note, later.note) if note)
        return replace(later, results=(*kept, *later.results), note=" ".join(notes))

    @classmethod
    def read(cls, path: Path) -> Report:
        """Read a document.

        Raises:
            DataError: If it cannot be read or is no such document; the file is named.
        """
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if document["format"] != FORMAT:
                raise ValueError(f"its format is {document['format']}, this program reads {FORMAT}")
            return cls(
                setting=document["setting"],
                machine=document["machine"],
                results=tuple(map(Result.from_json, document["results"])),
                failed=document["failed"],
                note=document["note"],
                date=document["date"],
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            raise DataError(
                f"{path} is no report of benchmarks: {reason}.", "Write one with `python -m benchmarks --json FILE`."
            ) from error
