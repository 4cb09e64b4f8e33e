"""One worker of a search: a process that takes trials and carries them out until there is none left.

``python -m bench.search.worker`` reads what to do from its standard input and says what happens in JSON lines on its
standard output; everything else goes to its standard error. It dies with its parent.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from bench.core.environment import refuse_foreign_group
from bench.core.errors import BenchError, InterruptedRunError
from bench.core.log import show_log

if TYPE_CHECKING:
    from bench.search.failures import Breaker
    from bench.search.storage import Place

logger = logging.getLogger(__name__)

Tell = Callable[[Mapping[str, Any]], None]

LOST_CODE = 75
"""Exit code of a worker that lost an attempt at a trial and wants to be started anew (EX_TEMPFAIL)."""


class Stop:
    """Remembers SIGTERM. While a run trains its trainer listens instead, and saves the state."""

    def __init__(self) -> None:
        self.wanted = False
        signal.signal(signal.SIGTERM, self._remember)

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        self.wanted = True

    def __call__(self) -> bool:
        """Whether it came."""
        return self.wanted


def work(
    search: Any,
    home: Path,
    execution: Mapping[str, Any],
    tell: Tell,
    stopped: Callable[[], bool] = bool,
    breaker: Breaker | None = None,
) -> None:
    """Take trials and carry them out until there is nothing to do.

    Args:
        search: The study.
        home: The results folder.
        execution: Execution fields of its runs.
        tell: Takes what happens.
        stopped: Whether this process was asked to stop.
        breaker: What stops a search whose trials all fail alike.

    Raises:
        BenchError: What ends a worker, InterruptedRunError included.
        AttemptLostError: What ends this process, but not the search: another one takes its place.
    """
    from bench.search.claims import claim
    from bench.search.objective import TrialRunner

    refuse_foreign_group()
    runner = TrialRunner(search, home, execution, stopped)
    while not stopped() and (taken := claim(search, breaker)) is not None:
        tell({"event": "begins", "trial": taken.number, "params": taken.params})
        logger.info(f"trial {taken.number}: {taken.params}")
        ended = runner.carry_out(taken)
        if ended is not None:
            found = {"state": ended.state.name, "value": ended.value, "reason": ended.reason}
            tell({"event": "ended", "trial": taken.number, **found})
    if stopped():
        raise InterruptedRunError("Stopped between two runs.")


def _tell(event: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Work on the study that the standard input names; the exit code is that of what ended the worker."""
    from bench.core.lifetimes import die_with_parent
    from bench.core.streams import prepare_helper_streams

    die_with_parent()
    prepare_helper_streams()
    stop = Stop()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    show_log()
    task = json.load(sys.stdin)
    from bench.search.claims import AttemptLostError
    from bench.search.storage import Place

    try:
        place = Place.from_json(task["place"])
        _work_on(place, task, stop)
    except BenchError as error:
        _tell({"event": "error", "type": type(error).__name__, "message": error.message, "hint": error.hint})
        return error.exit_code
    except AttemptLostError as lost:
        logger.info(place.masked("".join(traceback.format_exception(lost.__cause__)).rstrip()))
        _tell({"event": "lost", "trial": lost.number, "reason": lost.cause, "failed": lost.failed})
        return LOST_CODE
    return 0


def _work_on(place: Place, task: Mapping[str, Any], stop: Stop) -> None:
    from bench.experiment.plugins import load_plugins_of
    from bench.search.failures import Breaker
    from bench.search.request import base_spec
    from bench.search.study import open_study

    search = open_study(place, task["study"])
    # By the hash in the study: a file that changed after the user agreed to it is not run.
    load_plugins_of(base_spec(search.request, task["execution"]))
    _tell({"event": "ready"})
    work(search, Path(task["home"]), task["execution"], _tell, stop, Breaker(**task["breaker"]))


if __name__ == "__main__":
    sys.exit(main())
