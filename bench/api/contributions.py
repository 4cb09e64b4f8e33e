"""Contributed bundles, checked as an import would check them, on a board that exists for the moment alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.api.calls import api_call
from bench.api.exchange import MergedBundle
from bench.api.requests import FilePath
from bench.core.errors import ResultError, StoreError
from bench.core.files import temporary_folder
from bench.core.paths import expanded
from bench.core.text import plain
from leaderboard.results.bundle_merging import MergeReport, import_bundle
from leaderboard.results.schema import RULES
from leaderboard.store.board_rows import BoardRun
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import leaderboard_table
from leaderboard.tables.sections import is_official, section_title


@dataclass(frozen=True, kw_only=True)
class CheckedRun:
    """A run or submission of a checked bundle.

    Attributes:
        run_id: Its id.
        kind: ``run``, ``submission``, ``composite`` or ``ensemble``.
        system: Name of a submission, or model and method.
        seed: Its seed.
        section: What it was judged on, as a title of the board.
        official: Whether it was judged on the pinned test cycles of a whole real data set, and so is ranked.
        simulated: Whether the data were made by a program.
        partial: How much of the data set there was, where not all of it.
        score: Score by selection rule, percent, recomputed from its predictions.
        marks: What a reader of its row is told, by word.
    """

    run_id: str
    kind: str
    system: str
    seed: int
    section: str
    official: bool
    simulated: bool
    partial: str | None
    score: Mapping[str, float]
    marks: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class CheckedBundle:
    """What a check of a bundle found.

    Attributes:
        file: The bundle.
        runs: Its runs that a board would take or hold already.
        merged: What an import would do with each run; nothing where the bundle is damaged.
        refused: Sentences on why a board with these rules would not take it, or what is damaged; empty where it would.
    """

    file: Path
    runs: Sequence[CheckedRun]
    merged: MergedBundle
    refused: Sequence[str]

    @property
    def accepted(self) -> bool:
        """Whether it may be imported."""
        return not self.refused

    def to_json(self) -> dict[str, Any]:
        """One bundle of the document that ``bench board check --format json`` prints."""
        merged = self.merged.to_json()
        del merged["file"]
        return {
            "file": str(self.file),
            "accepted": self.accepted,
            "refused": list(self.refused),
            "runs": [dict(vars(run)) for run in self.runs],
            "merged": merged,
        }


@api_call
def check_bundles(
    files: Sequence[FilePath], *, against: Sequence[FilePath] = (), official: bool = False
) -> list[CheckedBundle]:
    """Check bundles of somebody else as an import does, and touch no board.

    Names, sizes and hashes of all members, the form of every result, that ids follow from specs and predictions,
    signatures, and all metrics, which are recomputed from the predictions. Bundles that come together are to come to
    one board: each is compared with those before it.

    Args:
        files: The bundles.
        against: Bundles of the board that they should come to: names that belong to another key, results that differ,
            copies and what was retracted are found with them.
        official: Also refuse what would not be ranked: simulated, partial, or judged on other cycles.

    Returns:
        What was found of each; ``refused`` says why it would not be taken.

    Raises:
        StoreError: If a bundle that they are compared with is damaged or cannot be read.
    """
    with temporary_folder("bench-check") as work:
        board = Store.open(work)
        for other in against:
            import_bundle(expanded(other), work, board)
        return [_checked_bundle(expanded(file), work, board, official) for file in files]


def _checked_bundle(path: Path, work: Path, board: Store, official: bool) -> CheckedBundle:
    """Import a bundle into the board of the moment, and say what came of it."""
    try:
        merged = import_bundle(path, work, board)
    except (StoreError, ResultError) as error:
        return CheckedBundle(file=path, runs=[], merged=MergedBundle.of(MergeReport(path)), refused=[error.message])
    taken = {*merged.new, *merged.same}
    marks = _marks_of(board, taken)
    runs = [_checked_run(run, marks) for run in board.runs() if run.run_id in taken]
    told = MergedBundle.of(merged)
    return CheckedBundle(file=path, runs=runs, merged=told, refused=list(_refusals(told, runs, official)))


def _marks_of(board: Store, run_ids: set[str]) -> dict[str, dict[str, str]]:
    """The marks that rows of the board have for some runs, by run: the sentence by the word."""
    found: dict[str, dict[str, str]] = {run_id: {} for run_id in run_ids}
    for rule in RULES:
        for section in leaderboard_table(board, rule).sections:
            for row in section.rows:
                for mark in row.get("marks", ()):
                    for run_id in run_ids & set(mark["run_ids"]):
                        found[run_id][mark["mark"]] = mark["sentence"]
    return found


def _checked_run(run: BoardRun, marks: Mapping[str, Mapping[str, str]]) -> CheckedRun:
    strict = run.judged_task.task.strict
    return CheckedRun(
        run_id=run.run_id,
        kind=run.kind,
        system=plain(run.spec.get("system") or f"{run.spec['model']} + {run.spec['method']}"),
        seed=run.spec["seed"],
        section=section_title(run) if run.metrics else "no numbers",
        official=is_official(run),
        simulated=run.judged_task.simulated,
        partial=run.partial,
        score={rule: by_judged[strict]["score"] for rule, by_judged in run.metrics.items() if by_judged},
        marks=marks[run.run_id],
    )


def _refusals(merged: MergedBundle, runs: Sequence[CheckedRun], official: bool) -> list[str]:
    found = [f"{conflict['run_id']}: {conflict['reason']}" for conflict in merged.conflict]
    found += [f"{run_id} was retracted" for run_id in merged.retracted]
    if official:
        found += [f"{run.run_id} would not be ranked: {run.section}" for run in runs if not run.official]
    if not (runs or found):
        found.append("it holds no run")
    return found
