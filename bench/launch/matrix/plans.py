"""What is planned and how it ended: the runs of a table or of a file, each once, and what cannot start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from bench.core.errors import BenchError
from bench.experiment.composites import Composite
from bench.experiment.spec import RunSpec


@dataclass(frozen=True)
class PlannedRun:
    """One run or composite, and what it is for.

    Attributes:
        spec: The complete spec, or the composite.
        run_id: Its id, which takes a while to compute.
        rows: Ids of the rows of a table, or places in a file, that it is for.
        systems: Ids of the systems that it is of.
    """

    spec: RunSpec | Composite
    run_id: str
    rows: tuple[str, ...]
    systems: tuple[str, ...] = ()

    @classmethod
    def of(cls, spec: RunSpec | Composite, row: str, system: str | None = None) -> Self:
        """The run of a spec, for one row."""
        return cls(spec, spec.run_id, (row,), () if system is None else (system,))

    def joined(self, other: PlannedRun) -> PlannedRun:
        """The run for the rows of both, which have the same run id."""
        rows = (*self.rows, *(row for row in other.rows if row not in self.rows))
        systems = (*self.systems, *(name for name in other.systems if name not in self.systems))
        return PlannedRun(self.spec, self.run_id, rows, systems)

    @property
    def names(self) -> tuple[str, str, str]:
        """Model, pretraining and method; of a composite its name, the parts' pretraining, and how they are combined."""
        if isinstance(self.spec, RunSpec):
            return self.spec.model, self.spec.pretrain, self.spec.method
        starts = dict.fromkeys(part.spec.pretrain for part in self.spec.parts)
        return self.spec.name, " + ".join(starts), self.spec.combine

    @property
    def parts(self) -> dict[str, str]:
        """Run ids of the parts of a composite, by the part's name; none of a run."""
        return {} if isinstance(self.spec, RunSpec) else {part.name: part.spec.run_id for part in self.spec.parts}


def joined_runs(runs: Iterable[PlannedRun]) -> list[PlannedRun]:
    """The same runs, each once."""
    found: dict[str, PlannedRun] = {}
    for run in runs:
        known = found.get(run.run_id)
        found[run.run_id] = run if known is None else known.joined(run)
    return list(found.values())


@dataclass(frozen=True, kw_only=True)
class MatrixPlan:
    """The runs of a matrix.

    Attributes:
        name: What the matrix is called: the name of its folder.
        source: Where it is from: a file, or the name of a table of the paper.
        profile: The recipes that its runs begin with: paper, demo, or both.
        runs: In order; a run that is asked for several times is there once.
        refused: Why what is asked for cannot start here and now, by its place.
    """

    name: str
    source: str
    profile: str
    runs: Sequence[PlannedRun]
    refused: Mapping[str, BenchError] = field(default_factory=dict)


@dataclass(frozen=True)
class EndedRun:
    """How a planned run ended.

    Attributes:
        run: The planned run.
        status: ``done before`` where its result existed already, ``finished``, ``failed``, or ``not started`` where
            something that it needs has failed.
        error: What the run failed with; None for one that did not fail.
        log: The file that tells more of a failure; None where there is none.
    """

    run: PlannedRun
    status: str
    error: BenchError | None = None
    log: Path | None = None


def headline(run: PlannedRun) -> str:
    """A run in one line."""
    model, _, method = run.names
    return f"{', '.join(run.rows)}: run {run.run_id}, {model} + {method}, seed {run.spec.seed}"
