"""Running a run of the board again, to see that its spec gives its numbers: in a folder of its own, on no board."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.errors import BenchError, InterruptedRunError, SpecError
from bench.core.files import temporary_folder, write_json
from bench.experiment.spec import RunSpec
from bench.launch.child import Children
from bench.launch.isolated import run_isolated
from leaderboard.metrics import rate_names
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.schema import task_of

TOLERANCE = 0.5
"""Percent points by which Sp, Se and Score may differ: another machine rounds otherwise, which training amplifies."""


@dataclass(frozen=True)
class Rerun:
    """What a run gave the second time.

    Attributes:
        equal: Whether it was judged on the same cycles and no rate of any selection rule differs by more.
        tolerance: Percent points that were allowed.
        largest: The largest difference, percent points; None where the cycles differ.
        scores: By selection rule, the Scores by the exact class before and now.
    """

    equal: bool
    tolerance: float
    largest: float | None
    scores: Mapping[str, Sequence[float]]


def run_again(document: Mapping[str, Any], replay: Callable[[Path], RunSpec], tolerance: float = TOLERANCE) -> Rerun:
    """Run the spec of a result again, in a process and a folder of its own.

    Args:
        document: The result of a run that was trained here or elsewhere.
        replay: Reads a ``spec.json`` as the run that it is here: with this machine's data, device and plug-ins.
        tolerance: Percent points that rates may differ by.

    Raises:
        SpecError: If it is a submission, or has not finished.
        BenchError: What kept it from being run again: data that are missing, a run that failed.
        InterruptedRunError: If Ctrl-C, SIGTERM or SIGHUP stopped it.
    """
    if document.get("kind", "run") == "submission":
        raise SpecError("A submission has no spec that could be run.", "Its predictions are what there is.")
    if document["status"] != "finished":
        raise SpecError(f"The run {document['run_id']} has {document['status']}: there is nothing to compare with.")
    with temporary_folder("bench-rerun") as place:
        execution = {name: value for name, value in document["execution"].items() if name != "study"}
        asked = RunFolder(place).spec
        write_json(asked, {"identity": document["spec"], "execution": execution})
        try:
            spec = replay(asked)
            with Children() as children:
                # The board of the temporary folder, not the one that the user has named.
                run_isolated(spec, place, rerun=False, children=children, environment={"BENCH_STORE": None})
        except InterruptedRunError:
            raise
        except BenchError as error:
            said = f"The run {document['run_id']} could not be run again: {error.message}"
            raise type(error)(said, error.hint) from error
        again = RunFolder.of_run(place, spec.run_id).read_document()
    return compared(document, again, tolerance)


def compared(before: Mapping[str, Any], now: Mapping[str, Any], tolerance: float) -> Rerun:
    """Compare two results of one spec."""
    pairs = {
        rule: (before["metrics"][rule], now["metrics"][rule])
        for rule in before["metrics"]
        if before["metrics"][rule] is not None
    }
    task = task_of(before).task
    scores = {
        rule: [one[task.strict]["score"], *([other[task.strict]["score"]] if other else [])]
        for rule, (one, other) in pairs.items()
    }
    same = before.get("judged_set") in (None, now.get("judged_set")) and all(other for _, other in pairs.values())
    if not same:
        return Rerun(False, tolerance, None, scores)
    largest = max(
        abs(one[judged][rate] - other[judged][rate])
        for one, other in (*pairs.values(), *_other_parts(before, now))
        for judged in task.sensitivities
        for rate in rate_names(task.score)
    )
    return Rerun(largest <= tolerance, tolerance, largest, scores)


def _other_parts(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Metrics of the tested parts beside the main one, before and now; both results have the rules of the main part."""
    for part, by_rule in before.get("other_parts", {}).items():
        for rule, metrics in by_rule.items():
            if metrics is not None:
                yield metrics, now["other_parts"][part][rule]
