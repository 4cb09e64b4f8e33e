"""What an audit found: one sentence for each fault, what the numbers are, and what could not be checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Holds = Literal["predictions", "table", "runs"]


@dataclass(frozen=True)
class Finding:
    """A fault.

    Attributes:
        kind: What is wrong, in a few words with hyphens; ``docs/audit.md`` lists them.
        where: The part of the file that it is about.
        sentence: What is wrong, where, with the numbers.
        numbers: The same numbers by name, for scripts.
    """

    kind: str
    where: str
    sentence: str
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Audit:
    """What an audit of a file found.

    Attributes:
        file: The file.
        holds: What was found in it.
        findings: The faults.
        facts: What its numbers are.
        unchecked: What could not be checked, and why.
        numbers: The facts as numbers, for scripts.
    """

    file: str
    holds: Holds
    findings: list[Finding] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The audit as a JSON document."""
        return {**asdict(self), "sound": not self.findings}
