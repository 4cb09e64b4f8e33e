"""Runs the checks of ``bench mock-run`` one after the other and gives the outcome of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.core.datasets import DATASETS
from bench.core.errors import BenchError
from bench.core.files import temporary_folder
from bench.experiment.plugins import load_plugins, plugin_failure
from bench.mock.checked_pair import CheckedPair
from bench.mock.checks import CHECKS, Check, CheckFailedError, CheckSkippedError
from bench.mock.tiny_set import ID, registered_tiny_set
from leaderboard.tasks import is_first_task

Status = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class CheckOutcome:
    """The outcome of one check.

    Attributes:
        check: Name of the check.
        title: Clause that says what the check makes sure of.
        status: Whether the check passed, failed or was skipped.
        reason: What the check found, or why it failed or was skipped.
        seconds: Duration of the check, s.
    """

    check: str
    title: str
    status: Status
    reason: str
    seconds: float


def mock_run(
    model: str,
    method: str,
    plugins: Sequence[str | Path] = (),
    on_outcome: Callable[[CheckOutcome], None] | None = None,
    checks: Sequence[Check] = CHECKS,
    frontend: str | None = None,
    dataset: str | None = None,
    task: str | None = None,
) -> list[CheckOutcome]:
    """Check a model with a method on tiny simulated data; nothing is left on disk.

    Args:
        model: Id of the model.
        method: Id of the method.
        plugins: Plug-in files that ids are looked up in.
        on_outcome: Called with each outcome as soon as it is known.
        checks: The checks to do; each comes after those that it needs.
        frontend: Front-end id; None for the one on the model's card.
        dataset: Data set whose task is asked for; None for the one that is meant where none is named.
        task: Task whose classes and tested parts the tiny data have; None for the first of the data set.

    Returns:
        The outcomes in their order.

    Raises:
        RegistryError: For an unknown data set.
        SpecError: For a broken plug-in, an unknown id, or a method that cannot train the model.
    """
    files = load_plugins(plugins)
    with temporary_folder("bench-mock") as folder, _tiny_set(dataset, task, folder) as tiny:
        pair = CheckedPair(model, method, frontend, (*files, *tiny), folder, ID if tiny else None)
        outcomes: dict[str, CheckOutcome] = {}
        for check in checks:
            outcomes[check.name] = _do_check(check, pair, outcomes)
            if on_outcome is not None:
                on_outcome(outcomes[check.name])
    return list(outcomes.values())


@contextmanager
def _tiny_set(dataset: str | None, task: str | None, folder: Path) -> Iterator[tuple[str, ...]]:
    """The plug-in file of the tiny set for a task; none for the four classes, which the simulated set has."""
    card = DATASETS.card(dataset) if dataset else DATASETS.primary().card
    judged = card.task(task)
    if is_first_task(judged):
        yield ()
        return
    with registered_tiny_set(card, judged, folder) as file:
        yield (file,)


def _do_check(check: Check, pair: CheckedPair, before: dict[str, CheckOutcome]) -> CheckOutcome:
    """Do one check, unless one that it builds upon did not pass."""
    missing = [name for name in check.needs if before[name].status != "passed"]
    if missing:
        return CheckOutcome(check.name, check.title, "skipped", f"needs {' and '.join(missing)}", 0.0)
    began = time.perf_counter()
    status: Status = "failed"
    try:
        status, reason = "passed", check.run(pair)
    except CheckSkippedError as error:
        status, reason = "skipped", str(error)
    except (CheckFailedError, BenchError) as error:
        status, reason = "failed", str(error).rstrip(".")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - code of others: what it raises is what the check found
        told = plugin_failure(error, pair.plugins) or f"{type(error).__name__}: {error}"
        status, reason = "failed", str(told).rstrip(".")
    return CheckOutcome(check.name, check.title, status, reason, time.perf_counter() - began)
