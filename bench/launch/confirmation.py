"""Running a run of the board again, to see that its spec gives its numbers: in a folder of its own, on no board."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.errors import RunError, SpecError
from bench.core.files import write_json
from leaderboard.metrics import JUDGED
from leaderboard.results.run_folder import RunFolder

TOLERANCE = 0.5
"""Percent points by which Sp, Se and Score may differ: another machine rounds otherwise, which training amplifies."""


@dataclass(frozen=True)
class Rerun:
    """What a run gave the second time.

    Attributes:
        equal: Whether it was judged on the same cycles and no rate of any selection rule differs by more.
        tolerance: Percent points that were allowed.
        largest: The largest difference, percent points; None where the cycles differ.
        scores: By selection rule, the 4-class Scores before and now.
    """

    equal: bool
    tolerance: float
    largest: float | None
    scores: Mapping[str, Sequence[float]]


def run_again(document: Mapping[str, Any], words: Sequence[str] = (), tolerance: float = TOLERANCE) -> Rerun:
    """Run the spec of a result again, in a process and a folder of its own.

    Args:
        document: The result of a run that was trained here or elsewhere.
        words: More options of ``bench run``: ``--data``, ``--device`` and their like.
        tolerance: Percent points that rates may differ by.

    Raises:
        SpecError: If it is a submission, or has not finished.
        RunError: If it cannot be run again.
    """
    if document.get("kind", "run") == "submission":
        raise SpecError("A submission has no spec that could be run.", "Its predictions are what there is.")
    if document["status"] != "finished":
        raise SpecError(f"The run {document['run_id']} has {document['status']}: there is nothing to compare with.")
    with tempfile.TemporaryDirectory(prefix="bench-rerun-") as place:
        folder = Path(place)
        execution = {name: value for name, value in document["execution"].items() if name != "study"}
        spec = RunFolder(folder).spec
        write_json(spec, {"identity": document["spec"], "execution": execution})
        command = [sys.executable, "-m", "bench", "run", "--spec", str(spec), "--home", place]
        environment = {name: value for name, value in os.environ.items() if name != "BENCH_STORE"}
        done = subprocess.run(
            [*command, "--format", "json", *words], env=environment, stdout=subprocess.DEVNULL, check=False
        )
        if done.returncode != 0:
            raise RunError(f"The run {document['run_id']} could not be run again: exit code {done.returncode}.")
        again = RunFolder.of_run(folder, document["run_id"]).read_document()
    return compared(document, again, tolerance)


def compared(before: Mapping[str, Any], now: Mapping[str, Any], tolerance: float) -> Rerun:
    """Compare two results of one spec."""
    pairs = {
        rule: (before["metrics"][rule], now["metrics"][rule])
        for rule in before["metrics"]
        if before["metrics"][rule] is not None
    }
    scores = {
        rule: [one["4class"]["score"], *([other["4class"]["score"]] if other else [])]
        for rule, (one, other) in pairs.items()
    }
    same = before.get("judged_set") in (None, now.get("judged_set")) and all(other for _, other in pairs.values())
    if not same:
        return Rerun(False, tolerance, None, scores)
    largest = max(
        abs(one[judged][rate] - other[judged][rate])
        for one, other in pairs.values()
        for judged in JUDGED
        for rate in ("sp", "se", "score")
    )
    return Rerun(largest <= tolerance, tolerance, largest, scores)
