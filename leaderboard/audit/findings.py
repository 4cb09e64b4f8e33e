"""What an audit found: one sentence for each fault, what the numbers are, and what could not be checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

ContentKind = Literal["predictions", "table", "runs", "transfer"]
"""What a file that is audited may hold."""


@dataclass(frozen=True)
class Finding:
    """One fault that an audit found.

    Attributes:
        kind: What is wrong, in a few words with hyphens; ``docs/audit.md`` lists them.
        where: The part of the file that the fault is in.
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
        file: Path of the file.
        holds: Whether the file holds predictions, a table of results, results of runs or a transfer.
        findings: The faults.
        facts: Sentences that say what the numbers in the file are.
        unchecked: Sentences that say what could not be checked, and why.
        numbers: The facts as numbers by name, for scripts.
    """

    file: str
    holds: ContentKind
    findings: list[Finding] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The audit as a JSON document."""
        return {**asdict(self), "sound": not self.findings}
