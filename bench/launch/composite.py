"""Runs composite systems: each part as a run of its own, then their combined predictions as one result.

A composite is done if and only if its result exists. Until then the same command goes on: finished parts are not run
again, and one that was stopped goes on from its saved state.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from bench.core.errors import BenchError, LostProcessError, RunError
from bench.core.provenance import code_version, package_versions
from bench.core.text import echoed
from bench.engine.states import POINTER
from bench.experiment.composites import Composite, CompositePart, part_named
from bench.experiment.judged_results import results_judged
from bench.experiment.spec import RunSpec
from bench.launch.board import results_board, store_result
from bench.launch.once import finished_result, launch
from leaderboard.results.composites import Combination, combined_result, store_combined
from leaderboard.results.finished_parts import FinishedPart
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.run_result import RunResult

logger = logging.getLogger(__name__)

PartState = Literal["finished", "failed", "started", "not started"]


@dataclass(frozen=True)
class LaunchedComposite:
    """A composite system that came to its end.

    Attributes:
        folder: Its run folder.
        result: Its result and predictions.
    """

    folder: Path
    result: RunResult

    @property
    def document(self) -> dict[str, Any]:
        """The result document, as ``result.json`` holds it."""
        return cast(dict[str, Any], self.result.document)


def launch_composite(composite: Composite, home: Path, *, rerun: bool) -> LaunchedComposite:
    """Run the parts of a composite, combine their predictions, and put the result on the board.

    Args:
        composite: The composite.
        home: The results folder.
        rerun: Run all parts and the composite again even if they are finished.

    Raises:
        RunError: If a part failed; the part, its run and the cause are named, and nothing of the composite is written.
        BenchError: Whatever keeps a part from starting, InterruptedRunError and LostProcessError.
    """
    store = results_board(home)
    folder = RunFolder.of_run(home, composite.run_id)
    with results_judged():
        found = None if rerun else finished_result(folder)
        if found is not None and not _all_parts_here(composite, home):
            # Its result is what counts: parts that somebody has cleared away are not trained again for it.
            logger.info(f"composite {composite.run_id} is finished already; --rerun runs it and its parts again")
        else:
            found, written = store_combined(folder, _combined(composite, home, rerun), anew=rerun)
            if not written:
                logger.info(f"composite {composite.run_id} is finished already; --rerun runs it and its parts again")
        kept = found.document["spec"]["model"]
        if kept != composite.name:
            logger.warning(f"composite {composite.run_id} is there already and keeps its name, {echoed(kept)}")
        store_result(store, found, "composite")
    return LaunchedComposite(folder.path, found)


def check_parts(composite: Composite, parts: Sequence[CompositePart]) -> None:
    """Check all that a start of some parts of a composite would, before anything is trained.

    Args:
        composite: The composite.
        parts: Those of its parts that are to be looked at; what they start from need not have run.

    Raises:
        BenchError: As :func:`bench.engine.preflight.check_start` and ``check_initial_part``; the part is named.
    """
    from bench.engine.preflight import check_initial_part, check_start
    from bench.engine.random_states import random_states_kept

    specs = {part.name: part.spec for part in composite.parts}
    for part in parts:
        with part_named(part.name), random_states_kept():
            check_start(part.spec.changed(init_from=None))
            if part.start is not None:
                check_initial_part(specs[part.start[0]], part.start[1], part.spec)


def part_state(part: CompositePart, home: Path) -> PartState:
    """Say how far the run of a part has come.

    Raises:
        ResultError: If its result cannot be read.
    """
    folder = RunFolder.of_run(home, part.spec.run_id)
    if folder.has_result():
        return "finished" if folder.read_document()["status"] == "finished" else "failed"
    return "started" if (folder.checkpoint / POINTER).is_file() else "not started"


def _all_parts_here(composite: Composite, home: Path) -> bool:
    return all(part_state(part, home) == "finished" for part in composite.parts)


def _combined(composite: Composite, home: Path, rerun: bool) -> RunResult:
    """The result of a composite from its parts, which are run as far as they are not finished."""
    parts = []
    open_parts = [part for part in composite.parts if rerun or part_state(part, home) in ("failed", "not started")]
    # A part that cannot start is found out before the training of the others.
    check_parts(composite, open_parts)
    for number, part in enumerate(composite.parts, start=1):
        logger.info(f"{composite.name}, part {number} of {len(composite.parts)}: {part.name}, run {part.spec.run_id}")
        result = _run_part(composite, part, home, rerun)
        parts.append(FinishedPart(part.name, result, part.system, part.device, part.default))
    made_by = {"code": code_version(), "packages": package_versions()}
    return combined_result(Combination("composite", composite.name, composite.combine, parts, composite.seed), made_by)


def _run_part(composite: Composite, part: CompositePart, home: Path, rerun: bool) -> RunResult:
    where = f"The part '{part.name}' (run {part.spec.run_id}) of the composite '{composite.name}'"
    try:
        ended = launch(with_start(composite, part, home), home, rerun=rerun)
    except LostProcessError:
        raise
    except BenchError as error:
        raise type(error)(f"{where}: {error.message}", error.hint) from error
    if ended.error is not None:
        raise RunError(
            f"{where} failed: {ended.error.message}", ended.error.hint or "The same command goes on with it."
        ) from ended.error
    return ended.result


def with_start(composite: Composite, part: CompositePart, home: Path) -> RunSpec:
    """The spec of a part with the run folder that it starts from, where it starts from another part.

    Args:
        composite: The composite.
        part: One of its parts.
        home: The results folder.
    """
    if part.start is None:
        return part.spec
    before = next(other.spec.run_id for other in composite.parts if part.start[0] == other.name)
    return part.spec.changed(init_weights=str(RunFolder.of_run(home, before).path.resolve()))
