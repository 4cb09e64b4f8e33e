"""What stands below the board: sentences on runs without numbers, searches and their cost, and parts of composites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.core.text import counted_noun
from leaderboard.results.schema import Rule
from leaderboard.store.board_rows import BoardRun
from leaderboard.tables.sections import ranked_kinds


def board_notes(runs: Sequence[BoardRun], protocol: Rule) -> list[str]:
    """Say what a reader of the board must know of some runs under a rule, a sentence each."""
    finished = [run for run in ranked_kinds(runs) if run.status == "finished"]
    without = sum(protocol not in run.metrics for run in finished)
    simulated = any(run.judged_task.simulated for run in finished)
    below = [run.run_id for run in finished if is_below_min_se(run, protocol)]
    notes = ["Simulated data prove the pipeline, never a method."] if simulated else []
    if without:
        reason = " (no held-out patients: --val-fraction)" if protocol == "best-val" else ""
        notes.append(f"Finished runs without numbers under {protocol}{reason}: {without}.")
    if below:
        notes.append(f"Runs without an epoch above the least Se, shown with their best Score: {', '.join(below)}.")
    trials = [run for run in runs if run.kind == "trial"]
    return [*notes, *_search_notes([run for run in finished if protocol in run.metrics], trials), *_shelf_notes(runs)]


def _shelf_notes(runs: Sequence[BoardRun]) -> list[str]:
    """How many runs lie on the shelf, as parts of which composite systems."""
    shelf = [run for run in runs if run.kind == "part"]
    if not shelf:
        return []
    names = ", ".join(sorted({str(run.extra.get("part_of", "")) for run in shelf}))
    return [f"Runs on the shelf, parts of composites and never ranked: {len(shelf)} ({names}); see `bench board list`."]


def _search_notes(shown: Sequence[BoardRun], trials: Sequence[BoardRun]) -> list[str]:
    """What the searches behind the rows cost, and how many trials there are that make no row."""
    studies = {study["name"]: study for run in shown if (study := run.extra.get("study"))}
    notes = [_tuning_note(study) for _, study in sorted(studies.items())]
    if trials:
        names = ", ".join(sorted({run.extra["study"]["name"] for run in trials}))
        notes.append(f"Runs of search trials, never ranked: {len(trials)} ({names}); see `bench search show NAME`.")
    return notes


def _tuning_note(study: Mapping[str, Any]) -> str:
    how = "TUNED ON THE TEST SET" if study["objective"] == "test" else "tuned on held-out training patients"
    counts = ", ".join(f"{study.get(key, 0)} {word}" for key, word in _TRIAL_STATES.items())
    space = "; ".join(f"{name} {values}" for name, values in study.get("space", {}).items())
    hours = f"{study.get('gpu_hours', 0.0):.2f} GPU hours, {study.get('cpu_hours', 0.0):.2f} CPU hours"
    looks = study.get("test_evaluations", 1)
    again = f" The test set was looked at for {looks} of its trials." if looks > 1 else ""
    return (
        f"Study {study['name']}: {how}; {counted_noun(study.get('trials', 0), 'trial')} ({counts}), "
        f"{hours}; space: {space}.{again}"
    )


_TRIAL_STATES = {"complete": "complete", "pruned": "pruned", "fail": "failed"}


def is_below_min_se(run: BoardRun, rule: str) -> bool:
    """Whether the run's epoch under the rule never reached the least Se: best only for want of another."""
    above = run.extra.get("best_above_min_se", {}).get(rule, True)
    return rule != "last" and not above
