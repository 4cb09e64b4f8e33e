"""The first check of a new model or method: everything that a run does, on tiny simulated data."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.mock import run as checks
from bench.mock.run import CheckOutcome

__all__ = ["METHOD", "MODEL", "CheckOutcome", "MockRun", "mock_run"]

MODEL, METHOD = "ast", "ce"
"""What stands beside the thing that is checked."""


@dataclass(frozen=True)
class MockRun:
    """What came of the checks.

    Attributes:
        model: The model.
        method: The method.
        checks: What came of each check, in their order.
    """

    model: str
    method: str
    checks: Sequence[CheckOutcome]

    @property
    def passed(self) -> bool:
        """Whether none of them failed."""
        return all(outcome.status != "failed" for outcome in self.checks)

    def to_json(self) -> dict[str, Any]:
        """The document that ``bench mock-run --format json`` prints."""
        found = [dataclasses.asdict(outcome) for outcome in self.checks]
        return {"model": self.model, "method": self.method, "simulated": True, "passed": self.passed, "checks": found}


def mock_run(
    model: str = MODEL,
    method: str = METHOD,
    *,
    frontend: str | None = None,
    dataset: str | None = None,
    task: str | None = None,
    plugins: Sequence[Path] = (),
    on_outcome: Callable[[CheckOutcome], None] | None = None,
) -> MockRun:
    """Check a model with a method: forward, backward, save, resume, two processes, evaluation. Nothing is left on disk.

    Args:
        model: Model id; built as its demo recipe says.
        method: Method id.
        frontend: Front-end id (default: the model's own).
        dataset: Data set whose task is asked for (default: the one that is meant where none is named).
        task: Task whose classes and tested parts the tiny data have (default: the first of the data set).
        plugins: Files with models, methods or front-ends of your own.
        on_outcome: Called with each outcome as soon as it is known.

    Raises:
        RegistryError: If there is no such id.
        SpecError: If a file cannot be imported, or the two do not go together.
    """
    found = checks.mock_run(model, method, plugins, on_outcome, frontend=frontend, dataset=dataset, task=task)
    return MockRun(model, method, found)
