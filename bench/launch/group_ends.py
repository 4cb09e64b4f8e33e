"""How the ranks of a run ended, and why a group of them has left no result."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.core.error_wire import error_document, read_error
from bench.core.errors import BenchError, InterruptedRunError, LostProcessError, UnexpectedError
from bench.core.lifetimes import signal_name
from bench.launch.child import KILLED_HINT, Child

GOES_ON = "The state is kept: the same command goes on from the last one that was saved."


@dataclass(frozen=True)
class RankEnd:
    """How the process of a rank ended.

    Attributes:
        rank: The rank.
        code: Its exit code, negative for the signal that killed it; None where nobody knows.
        error: The error that it told of, if it did.
        lost: Whether a signal that did not come from bench has killed it, or it has vanished.
    """

    rank: int
    code: int | None = 0
    error: BenchError | None = None
    lost: bool = False

    @classmethod
    def of(cls, rank: int, child: Child) -> RankEnd:
        """The end of a rank that was a child of this process."""
        return cls(rank, child.code, child.error, child.lost)

    @property
    def failed(self) -> bool:
        """Whether it did not end well."""
        return self.lost or self.error is not None or self.code != 0

    def to_json(self) -> dict[str, Any]:
        """The end as :meth:`from_json` reads it."""
        error = None if self.error is None else error_document(self.error)
        return {"rank": self.rank, "code": self.code, "error": error, "lost": self.lost}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> RankEnd:
        """Read what :meth:`to_json` gave."""
        error = document["error"]
        return cls(**{**document, "error": None if error is None else read_error(error)})


def reason_of(in_order_of_end: Sequence[RankEnd], *, asked: bool) -> BenchError:
    """Why a group has left no result.

    Args:
        in_order_of_end: All of its ranks, in the order in which they ended.
        asked: Whether they were asked to stop.
    """
    group = sorted(in_order_of_end, key=lambda end: end.rank)
    errors = [end.error for end in group if end.error is not None]
    for error in errors:
        if isinstance(error, InterruptedRunError):
            return error
    codes = [end.code or 0 for end in group]
    if asked and (not errors or any(code < 0 for code in codes)):
        return InterruptedRunError("Stopped before more of the state could be saved.")
    killed = _killed(in_order_of_end, reported=bool(errors))
    if killed is not None:
        return _loss(killed, len(group))
    if errors:
        # What a rank says that waits for another one, of a connection that broke, follows from the other's error.
        return min(errors, key=lambda error: isinstance(error, UnexpectedError))
    told = ", ".join(str(code) for code in codes)
    return LostProcessError(f"The processes of the run ended with {told} and left no result.", GOES_ON)


def _loss(killed: RankEnd, size: int) -> LostProcessError:
    which = f"Process {killed.rank + 1} of the run's {size}"
    if killed.code is None:
        return LostProcessError(f"{which} answers no more: it, its launcher or its machine has gone.", GOES_ON)
    return LostProcessError(f"{which} was killed by {signal_name(-killed.code)}.", f"{GOES_ON} {KILLED_HINT}")


def _killed(in_order_of_end: Sequence[RankEnd], *, reported: bool) -> RankEnd | None:
    """The process whose end by a signal ended the group, if one did.

    Partners that complain of the connection then end after it. NCCL aborts a process whose partner has failed, so that
    an abort says nothing where there is a report.
    """
    failed = [end for end in in_order_of_end if end.lost or end.code]
    first = failed[0] if failed else None
    if first is None or not first.lost or (reported and first.code == -signal.SIGABRT):
        return None
    return first
