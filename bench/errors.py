"""The project's errors and their exit codes (DESIGN: 1 failed run, 2 usage, 3 data, 4 store, 130 interrupted)."""

from __future__ import annotations

from leaderboard.errors import BenchError, ResultError, StoreError

__all__ = [
    "BenchError",
    "DataError",
    "InterruptedRunError",
    "LostProcessError",
    "PrunedRunError",
    "RegistryError",
    "ResultError",
    "RunError",
    "SpecError",
    "StoreError",
    "WeightsError",
]


class RunError(BenchError):
    """A run started and failed: a loss that is not finite, a lost process, memory that ran out."""

    exit_code = 1


class LostProcessError(RunError):
    """A process of a run was killed or lost: nothing is stored, and the same command goes on."""


class PrunedRunError(RunError):
    """A run that a search gave up after an epoch, because others are better by then."""


class SpecError(BenchError):
    """A value, an option or a combination that cannot be run."""

    exit_code = 2


class RegistryError(SpecError):
    """An id that no registry knows, or one that two origins claim."""


class WeightsError(BenchError):
    """Pretrained weights that cannot be fetched, read, or matched with the model, tensor by tensor."""

    exit_code = 2


class DataError(BenchError):
    """Data that is missing or broken."""

    exit_code = 3


class InterruptedRunError(BenchError):
    """A run stopped by Ctrl-C or SIGTERM after its state was saved."""

    exit_code = 130
