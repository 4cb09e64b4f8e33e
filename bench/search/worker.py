"""One worker of a search: a process that takes trials and carries them out until there is none left.

It tells the process that started it (:mod:`bench.search.workers`) what happens; its log is kept beside the study.
"""

from __future__ import annotations

import logging
import socket
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import InterruptedRunError, StoreError
from bench.core.lifetimes import StopRequest
from bench.core.process_group import refuse_foreign_group

if TYPE_CHECKING:
    from bench.launch.child_process import Parent
    from bench.search.failures import CircuitBreaker
    from bench.search.storage import Place

logger = logging.getLogger(__name__)

Tell = Callable[[Mapping[str, Any]], None]


def work(
    search: Any,
    home: Path,
    execution: Mapping[str, Any],
    tell: Tell,
    stopped: Callable[[], bool] = bool,
    breaker: CircuitBreaker | None = None,
    *,
    stored: bool = True,
) -> None:
    """Take trials and carry them out until there is nothing to do.

    Args:
        search: The study.
        home: The results folder.
        execution: Execution fields of its runs.
        tell: Takes what happens.
        stopped: Whether this process was asked to stop.
        breaker: What stops a search whose trials all fail alike.
        stored: Whether results of runs go to the board here; False where another process brings them there.

    Raises:
        BenchError: What ends a worker, InterruptedRunError included.
        AttemptLostError: What ends this process, but not the search: another one takes its place.
    """
    from bench.search.claims import claim
    from bench.search.objective import TrialRunner

    refuse_foreign_group()
    runner = TrialRunner(search, home, execution, stopped, stored=stored)
    while not stopped() and (taken := claim(search, breaker)) is not None:
        tell({"event": "begins", "trial": taken.number, "params": taken.params})
        logger.info(f"trial {taken.number}: {taken.params}")
        ended = runner.carry_out(taken)
        if ended is not None:
            found = {"state": ended.state.name, "value": ended.value, "reason": ended.reason}
            tell({"event": "ended", "trial": taken.number, **found})
    if stopped():
        raise InterruptedRunError("Stopped between two runs.")


def main(task: Mapping[str, Any], parent: Parent) -> None:
    """Work on a study in this process, which was started for it.

    Args:
        task: ``place`` and ``study``, the results folder ``home``, the ``execution`` fields of the runs, the
            ``breaker``, and ``stored``: whether results of runs go to the board from here.
        parent: The process that started this one; it hears of every trial, and of an attempt that was lost.

    Raises:
        BenchError: What ended the worker.
    """
    from bench.search.claims import AttemptLostError
    from bench.search.storage import Place

    place = Place.from_json(task["place"])
    # While a run trains its trainer listens too, and saves the state.
    with StopRequest() as stop:
        try:
            _work_on(place, task, parent.tell, stop)
        except AttemptLostError as lost:
            logger.info(place.masked("".join(traceback.format_exception(lost.__cause__)).rstrip()))
            parent.tell({"event": "lost", "trial": lost.number, "reason": lost.cause, "failed": lost.failed})


def _work_on(place: Place, task: Mapping[str, Any], tell: Tell, stop: StopRequest) -> None:
    from bench.experiment.plugins import load_plugins_of
    from bench.search.failures import CircuitBreaker
    from bench.search.request import base_spec
    from bench.search.study import open_study

    _check_shared(place)
    search = open_study(place, task["study"])
    # By the hash in the study: a file that changed after the user agreed to it is not run.
    load_plugins_of(base_spec(search.request, task["execution"]))
    breaker = CircuitBreaker(**task["breaker"])
    home, execution = Path(task["home"]), task["execution"]
    work(search, home, execution, tell, lambda: stop.wanted, breaker, stored=task["stored"])


def _check_shared(place: Place) -> None:
    """Refuse to work on a machine that does not see the study's journal; raises StoreError."""
    if place.journal is not None and not place.journal.exists():
        raise StoreError(
            f"The machine {socket.gethostname()} does not see the study: there is no {place.journal} on it.",
            "Keep results and studies on a disk that all machines share (--home), or the study in PostgreSQL "
            "(--storage).",
        )
