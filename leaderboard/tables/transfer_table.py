"""The small table of transfers: systems trained on one task and judged on another, which nothing ranks.

A row is a tested part for runs that differ in the seed alone. Both directions between two tasks stand side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from bench.core.datasets import ANY_ABNORMAL, TestPart
from bench.core.text import counted_noun
from leaderboard.metrics import predicted_classes, rate_names
from leaderboard.results.schema import Rule, TaskFields
from leaderboard.results.transfer import SHARED_CLASSES, Transfer, judged_cycles, shared_task
from leaderboard.statistics.breakdown import system_counts
from leaderboard.statistics.intervals import system_estimate
from leaderboard.statistics.seed_spread import mean_and_deviation
from leaderboard.store.result_rows import system_hash
from leaderboard.tables.board_tables import Row, Section, Table, name_differences
from leaderboard.tasks import judged_task

TITLE = "trained here, judged there"

COVERAGE = (
    "Intervals (95 %) cover other test patients, and other seeds where there are several; not other training patients."
)


class _Where(NamedTuple):
    """A task of a data set, as people call it."""

    dataset: str
    task: str
    title: str

    @classmethod
    def of(cls, told: TaskFields) -> _Where:
        return cls(told["dataset"], told["id"], told["title"])


class _Key(NamedTuple):
    """What the runs of a row share: what was judged on what, and the system."""

    trained_on: _Where
    judged_on: _Where
    system: str
    judged_set: str


def transfer_table(transfers: Iterable[Transfer], protocol: Rule = "last") -> Table:
    """Make the table of some transfers.

    Args:
        transfers: In any order.
        protocol: Selection rule of the weights whose numbers are shown.
    """
    every = list(transfers)
    groups: dict[_Key, list[Transfer]] = {}
    for one in sorted((one for one in every if one.document["rule"] == protocol), key=_seed_of):
        groups.setdefault(_key(one), []).append(one)
    rows = [_row(seeds, part) for _, seeds in sorted(groups.items()) for part in seeds[0].task.parts]
    rows.sort(key=_place)
    for _, alike in groupby(rows, key=lambda row: (row["trained_on"], row["judged_on"], row["part"])):
        name_differences(list(alike))
    others = len(every) - sum(map(len, groups.values()))
    sections = [Section(TITLE, "transfer", rows)] if rows else []
    return Table("transfer", protocol, sections, [*_left_out_notes(every, protocol), *_notes(bool(rows), others)])


def _seed_of(transfer: Transfer) -> tuple[int, str]:
    return int(transfer.document["spec"]["seed"]), transfer.document["run_id"]


def _key(transfer: Transfer) -> _Key:
    document = transfer.document
    there = document["judged_on"]
    system = system_hash(document["spec"])
    return _Key(_Where.of(document["trained_on"]), _Where.of(there["task"]), system, there["judged_set"])


def _place(row: Row) -> tuple[Any, ...]:
    """Both directions between two tasks stand one after the other, and systems on the same part."""
    trained, judged = tuple(row["trained_on"].values()), tuple(row["judged_on"].values())
    return (*sorted((trained, judged)), trained, not row["main"], row["part"], row["model"], row["method"])


def _row(transfers: Sequence[Transfer], part: TestPart) -> Row:
    first, task = transfers[0], transfers[0].task
    document, spec = first.document, first.document["spec"]
    there, key = document["judged_on"], _key(first)
    metrics: list[Any] = [one.document["metrics"][part.id] for one in transfers]
    return {
        "kind": "transfer",
        "name": None,
        **{name: spec[name] for name in ("model", "method", "pretrain")},
        "differs": {},
        "trained_on": key.trained_on._asdict(),
        "judged_on": key.judged_on._asdict(),
        "part": part.id,
        "part_title": part.title,
        "main": part == task.main,
        # Whether the patients of a part were trained on is known of the data set's own training part alone.
        "patients_seen": part.patients_seen and spec["dataset"] == there["dataset"],
        "partial": there["partial"],
        "official": _is_official(first),
        "seeds": [one.document["spec"]["seed"] for one in transfers],
        "run_ids": [one.document["run_id"] for one in transfers],
        "transfer_ids": [one.id for one in transfers],
        **_rates(metrics),
        "scores": [one["score"] for one in metrics],
        "score_law": task.score,
        **_interval(transfers, part),
        "cycles": metrics[0]["n"],
        "judged_set": there["judged_set"],
        "spec": {name: value for name, value in spec.items() if name != "seed"},
    }


def _is_official(transfer: Transfer) -> bool | None:
    """Whether the tested cycles are those of the complete set with its official labels; None where nobody knows."""
    there = transfer.document["judged_on"]
    judged = judged_task({"dataset": there["dataset"], "task": there["task"]["id"]}, there["task"])
    return judged.is_official(there["judged_set"]) if judged.is_pinned else None


def _rates(metrics: Sequence[Any]) -> Row:
    """Mean and deviation over seeds of each rate; None for those that are none of the judged task's."""
    found: Row = {}
    for name in rate_names("challenge"):
        spread = mean_and_deviation([one[name] for one in metrics]) if name in metrics[0] else None
        found[name], found[f"{name}_std"] = (spread.mean, spread.std) if spread else (None, None)
    return found


def _interval(transfers: Sequence[Transfer], part: TestPart) -> Row:
    """The interval of the mean Score of a part over patients, and over seeds where there are several."""
    cycles, chosen = judged_cycles(transfers[0], part), []
    for one in transfers:
        rows = {key: row for row, key in enumerate(one.cycles.keys)}
        chosen.append(predicted_classes(one.probabilities[[rows[key] for key in cycles.keys]], len(SHARED_CLASSES)))
    counts = system_counts(cycles, chosen, shared_task(transfers[0].task))
    found = {"ci95": None, "degenerate": True, "covers_seeds": len(transfers) > 1, "patients": len(counts.patients)}
    if not counts.has_interval:
        return found
    score = system_estimate(counts.by_patient, judged=ANY_ABNORMAL, task=counts.task).score
    ends = None if score.is_degenerate else [score.lo, score.hi]
    return {**found, "ci95": ends, "degenerate": score.is_degenerate}


def _left_out_notes(transfers: Sequence[Transfer], protocol: str) -> list[str]:
    """Which classes no number is of, on either side: a sentence for each task that has some."""
    said: dict[str, None] = {}
    for one in transfers:
        if one.document["rule"] != protocol:
            continue
        for told, side in ((one.document["trained_on"], "trained"), (one.document["judged_on"]["task"], "judged")):
            names = [name for name, word in zip(told["classes"], told["shared"], strict=True) if word is None]
            if names:
                what = f"{', '.join(names)} of {told['dataset']}, {told['title']}"
                counted = (
                    f": {counted_noun(one.left_out, 'cycle is', 'cycles are')} not judged" if side == "judged" else ""
                )
                words = "is left out of the probabilities" if side == "trained" else "is left out"
                said[f"Neither normal nor abnormal, {what} {words}{counted}."] = None
    return list(said)


def _notes(any_rows: bool, others: int) -> list[str]:
    notes = [COVERAGE] if any_rows else []
    return [*notes, f"Transfers under other selection rules: {others} (--protocol)."] if others else notes
