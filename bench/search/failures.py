"""What a failed attempt at a trial means: its own fault, a lost attempt, or a fault that every trial would meet.

A trial's own fault (a loss that is not finite, parameters that cannot be run) would come again: the trial fails. An
attempt is lost with its process: by a kill, by an error of CUDA or NCCL that leaves a process unusable, or by any
error that nobody foresaw. It is tried again in a process of its own, a few times. What every trial would meet (data
missing, other weights than the study's, a full disk, a storage that is away) ends the search, and the trial waits.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from dataclasses import dataclass

from optuna.trial import FrozenTrial, TrialState

from bench.core.errors import (
    BenchError,
    LostProcessError,
    RunError,
    RunWeightsError,
    SpecError,
    StoreError,
    UnexpectedError,
    WeightsError,
    chain_of,
)
from bench.core.text import plain

OWN_FAULTS = (RunError, SpecError, WeightsError, MemoryError)
"""Errors that belong to a trial's parameters."""

GIVE_UP_AFTER = 5
"""Trials that fail one after the other with the same cause before a search stops."""

CAUSE_LENGTH = 500
"""How many characters of an error a study keeps."""

_UNUSABLE_DEVICE = re.compile(
    r"CUDA (driver |runtime |kernel )?error|device-side assert|illegal memory access|\bNCCL\b|ncclInternal|"
    r"CUBLAS_STATUS_|CUDNN_STATUS_|cuDNN error|HIP error",
    re.IGNORECASE,
)
"""What errors say after which CUDA refuses everything else that a process asks of it."""

_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


def is_lost(error: BaseException) -> bool:
    """Whether an attempt was lost with its process, so that the trial may go on in another one."""
    if isinstance(error, LostProcessError | UnexpectedError) or any(
        _UNUSABLE_DEVICE.search(str(part)) for part in chain_of(error)
    ):
        return True
    return (
        isinstance(error, Exception) and not isinstance(error, BenchError | MemoryError) and not _is_disk_error(error)
    )


def is_own_fault(error: BaseException) -> bool:
    """Whether the trial's parameters are to blame: not for a file of weights that was exchanged under all trials."""
    return isinstance(error, OWN_FAULTS) and not isinstance(error, RunWeightsError) and not is_lost(error)


def shared_fault(error: BaseException) -> BaseException:
    """Give an error the form in which it ends a worker: a full or read-only disk becomes a sentence with advice."""
    if isinstance(error, OSError) and _is_disk_error(error):
        where = f" {error.filename}" if error.filename else ""
        return StoreError(f"Cannot write{where}: {error.strerror}.", "Free space, then go on with the same command.")
    return error


def _is_disk_error(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in _DISK_ERRORS


def cause_of(error: BaseException) -> str:
    """Put what an error says on one line of at most :data:`CAUSE_LENGTH` characters, as a study keeps it."""
    if isinstance(error, BenchError):
        text = error.message
    elif isinstance(error, MemoryError):
        text = "The machine ran out of memory."
    else:
        # CUDA adds a page of advice to each of its errors.
        first = next((line for line in str(error).splitlines() if line.strip()), "")
        text = f"{type(error).__name__}: {first}" if first else type(error).__name__
    line = plain(text[: CAUSE_LENGTH + 1])
    return line if len(line) <= CAUSE_LENGTH else line[: CAUSE_LENGTH - 1] + "…"


@dataclass(frozen=True)
class CircuitBreaker:
    """Stops a search whose trials fail one after the other with the same cause, as on a GPU that another program fills.

    Attributes:
        limit: How many such failures are enough; 0 for never.
        since: Trials that ended before do not count (seconds since 1970).
    """

    limit: int
    since: float

    def check(self, name: str, trials: Sequence[FrozenTrial]) -> None:
        """Stop the search if the trials that ended last have all failed with the same cause.

        Args:
            name: Name of the study, for the advice.
            trials: All trials of the study.

        Raises:
            RunError: If the last ``limit`` trials have failed with the same cause.
        """
        if not self.limit:
            return
        ended = [(trial.datetime_complete, trial) for trial in trials if trial.datetime_complete is not None]
        ended = [pair for pair in ended if pair[0].timestamp() >= self.since]
        last = [trial for _, trial in sorted(ended, key=lambda pair: (pair[0], pair[1].number))][-self.limit :]
        if len(last) < self.limit or any(trial.state is not TrialState.FAIL for trial in last):
            return
        causes = [str(trial.user_attrs.get("error", "")) for trial in last]
        if len({_without_numbers(cause) for cause in causes}) == 1:
            raise RunError(
                f"{self.limit} trials in a row failed with the same cause: {causes[-1]}",
                f"Mend the cause, then `bench search resume {name} --retry-failed` does them again "
                "(--give-up-after sets how many are enough).",
            )


def _without_numbers(cause: str) -> str:
    """A cause without its sizes, steps and process ids, which differ from one failure to the next."""
    return re.sub(r"[0-9]+([.,][0-9]+)*(e[+-]?[0-9]+)?", "#", cause)
