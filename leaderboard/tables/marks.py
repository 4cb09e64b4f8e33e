"""Marks: what a reader of the board must know of a row before believing it.

A mark is a word and a sentence. It hides nothing, deletes nothing and moves no rank: whoever reads the row sees it
wherever the row is shown, together with what the keepers of the board have said of it (``bench board review``).
Copies are looked for among the rows of one section that holds submissions: what is trained here is no copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from numpy.typing import NDArray

from bench.core.text import counted_noun
from leaderboard.history.log import History
from leaderboard.history.signatures import submitter_key
from leaderboard.published.results_file import printed_of
from leaderboard.published.systems import published_systems
from leaderboard.results.inputs import UNDECLARED
from leaderboard.results.schema import COMBINED
from leaderboard.statistics.row_statistics import RunKey, leading_rows, runs_by_key, runs_of_row
from leaderboard.statistics.tested_parts import cut_to_part, tested_part
from leaderboard.store.board_rows import BoardRun
from leaderboard.store.store import Store
from leaderboard.tables.combined_marks import combination_findings
from leaderboard.tables.copies import RunPredictions, find_copies
from leaderboard.tables.sections import is_official
from leaderboard.tables.titles import system_title
from leaderboard.tables.verification_states import verification_state

Row = dict[str, Any]

MARKS: Mapping[str, str] = {
    "composite": "one system of several runs, whose predictions are combined",
    "ensemble": "the predictions of several finished runs, combined afterwards",
    "other parts": "its stored predictions, or what it says of itself, are not what its parts give",
    "retracted part": "a run that it is combined of was retracted",
    "absent part": "a run that it is combined of is not here, so that nobody can combine it again",
    "copy": "the predicted classes, or the scores up to a monotone change, are those of another system or seed",
    "labels": "the predictions are the labels, or nearly",
    "beyond print": "the Score is further above what stands in print than any published step",
    "equal scores": "cycles have four equal scores, so that nothing decides",
    "ties": "cycles have several largest scores, of which the first counts",
    "degenerate": "one class for every cycle, or nothing that varies between patients and seeds: no interval says much",
    "tuned on test": "thresholds or class biases were tuned on the test part",
    "twin seed": "one seed counts twice",
    "undeclared": "inputs are not declared",
    "unsigned": "it was submitted without a key, so that nobody can show that it is theirs",
}
"""By word, what each mark means; rows show their marks in this order."""

LABELS = 99.0
"""Score, percent, from which predictions are taken for the labels themselves."""

MARGIN = 5.0
"""Points above the highest Score that stands in print for this task: more than any published step in one go."""

MOST_ROWS = 1000
MOST_RUNS = 2500
"""Rows of a section, and runs behind them, whose predictions are looked at."""


@dataclass(frozen=True)
class Mark:
    """A mark of a row: its word, one sentence on what was seen, and the ids of the runs in which it was seen."""

    word: str
    sentence: str
    run_ids: tuple[str, ...]


def highest_in_print(run: BoardRun) -> float | None:
    """Find the highest Score in print, percent, by the exact class and of the part that a run was judged on.

    Of the four classes those count that are said to be of the official split.

    Returns:
        The Score; None where none is known.
    """
    judged = run.judged_task
    printed = printed_of(judged.card) if judged.card else ()
    of_part = [one.score for one in printed if (one.task, one.part) == (judged.task.id, tested_part(run).id)]
    of_systems = _of_published_systems(judged.dataset, judged.task.strict)
    return max((score for score in [*of_systems, *of_part] if score is not None), default=None)


@cache
def _of_published_systems(dataset: str, table: str) -> list[float]:
    systems = [system for system in published_systems() if system.dataset == dataset]
    return [system.score for system in systems if system.comparable and system.table == table]


def add_marks(store: Store, runs: Sequence[BoardRun], sections: Sequence[Sequence[Row]], rule: str) -> None:
    """Fill in the fields ``marks`` and ``state`` of rows of systems.

    Each mark has ``mark``, ``sentence``, ``run_ids`` and ``review``; the state is one of
    :mod:`leaderboard.tables.verification_states`.

    Args:
        store: The board.
        runs: Runs of the board on each part, among them all those behind the rows.
        sections: Rows of each section; rows of one section were judged on the same cycles.
        rule: The selection rule of the rows' numbers.
    """
    history = store.history()
    by_id, by_key = {run.run_id: run for run in runs}, runs_by_key(runs)
    for rows in sections:
        seen: dict[int, list[Mark]] = {}
        # Without a submission nobody can have copied: runs from here are made by this code, and reading their
        # predictions takes most of the time.
        if any(row["kind"] == "submission" for row in rows):
            seen = _prediction_marks(store, by_key, leading_rows(rows, MOST_ROWS, MOST_RUNS), rule)
        for number, row in enumerate(rows):
            mine = runs_of_row(row, by_key)
            row["state"] = verification_state(mine, history)
            combined = combination_findings(store, history, mine, by_id) if row["kind"] in COMBINED else []
            marks = [*seen.get(number, ()), *(Mark(*found) for found in combined), *row_marks(row, mine)]
            row["marks"] = [
                _mark_document(mark, history) for mark in sorted(marks, key=lambda mark: _MARK_ORDER[mark.word])
            ]


_MARK_ORDER = {word: number for number, word in enumerate(MARKS)}


def _mark_document(mark: Mark, history: History) -> dict[str, Any]:
    reviews = [history.reviews[run_id, mark.word] for run_id in mark.run_ids if (run_id, mark.word) in history.reviews]
    review = {"verdict": reviews[0].verdict, "reason": reviews[0].reason} if reviews else None
    return {"mark": mark.word, "sentence": mark.sentence, "run_ids": list(mark.run_ids), "review": review}


def mark_words(row: Mapping[str, Any]) -> list[str]:
    """Give the words of a row's marks; a reviewed one says what the review found."""
    return [
        mark["mark"] + (f" ({mark['review']['verdict']})" if mark["review"] else "") for mark in row.get("marks") or ()
    ]


def mark_notes(rows: Sequence[Row], most: int = 20) -> list[str]:
    """Say what the marks of some rows mean, and what was seen in each row, but for marks that say it themselves.

    Args:
        rows: Rows with their marks.
        most: How many sentences are listed; of the others their number is said.
    """
    words = {mark["mark"] for row in rows for mark in row.get("marks") or ()}
    notes = [f"Mark {word}: {meaning}." for word, meaning in MARKS.items() if word in words]
    told = [
        f"{row['name'] or system_title(row)}: {mark['sentence']}"
        + (f" Review: {mark['review']['verdict']}, {mark['review']['reason']}." if mark["review"] else "")
        for row in rows
        for mark in row.get("marks") or ()
        if mark["mark"] not in _SELF_EXPLAINING or mark["review"]
    ]
    more = [f"{counted_noun(len(told) - most, 'more mark')}: `bench board review`."] if len(told) > most else []
    return [*notes, *told[:most], *more]


_SELF_EXPLAINING = ("unsigned", "undeclared")
"""Marks that need no sentence beside each row."""

# --- what rows say of themselves --------------------------------------------------------------------------------


def row_marks(row: Row, runs: Sequence[BoardRun]) -> Iterator[Mark]:
    """Give the marks that a row shows by itself, without the predictions of others.

    Args:
        row: Its ``score``, ``run_ids``, ``degenerate`` and, of submissions, ``inputs``.
        runs: The runs behind it, on its part.
    """
    ids = tuple(row["run_ids"])
    if row["score"] >= LABELS:
        yield Mark("labels", f"The Score is {row['score']:.2f}: these are the labels, or nearly.", ids)
    elif is_official(runs[0]):
        best = highest_in_print(runs[0])
        if best is not None and row["score"] > best + MARGIN:
            told = (
                f"The Score is {row['score']:.2f}; the highest in print is {best:.2f}, more than {MARGIN:.0f} points "
                "less."
            )
            yield Mark("beyond print", told, ids)
    if row.get("degenerate"):
        yield Mark("degenerate", "Nothing varies between patients and seeds: there is no interval.", ids)
    yield from _submission_marks(row, [run for run in runs if run.kind == "submission"])


def _submission_marks(row: Row, runs: Sequence[BoardRun]) -> Iterator[Mark]:
    ids = tuple(run.run_id for run in runs)
    seeds = [run.spec["seed"] for run in runs]
    twins = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if twins:
        yield Mark("twin seed", f"These seeds count more than once: {', '.join(map(str, twins))}.", ids)
    if runs and row["inputs"]["thresholds"] == "test":
        yield Mark("tuned on test", "Thresholds or class biases were tuned on the test part.", ids)
    left = [name.replace("_", " ") for name, value in row["inputs"].items() if value == UNDECLARED]
    if runs and left:
        yield Mark("undeclared", f"Not declared: {', '.join(left)}.", ids)
    unsigned = tuple(run.run_id for run in runs if submitter_key(run.extra) is None)
    if unsigned:
        yield Mark("unsigned", "It was submitted without a key.", unsigned)


# --- what is seen in predictions --------------------------------------------------------------------------------


def _prediction_marks(
    store: Store, by_key: Mapping[RunKey, BoardRun], rows: Sequence[Row], rule: str
) -> dict[int, list[Mark]]:
    """Marks that the stored predictions of submissions show, by the place of the row: ties, equal scores, copies."""
    found: dict[int, list[Mark]] = {}
    runs = {run.run_id: run for row in rows for run in runs_of_row(row, by_key)}
    answers = {
        run_id: cut_to_part(runs[run_id], *found) for run_id, found in store.predicted_scores(list(runs), rule).items()
    }
    owners = {run_id: number for number, row in enumerate(rows) for run_id in row["run_ids"] if run_id in answers}
    for run_id, number in owners.items():
        if runs[run_id].kind != "submission":
            continue
        found.setdefault(number, []).extend(_one_class_marks(runs[run_id], answers[run_id][1]))
        if _has_scores(runs[run_id]):
            found.setdefault(number, []).extend(_tied_score_marks(run_id, answers[run_id][1]))
    order = sorted(owners, key=lambda run_id: (runs[run_id].created, run_id))
    given = [RunPredictions(run_id, *answers[run_id], scored=_has_scores(runs[run_id])) for run_id in order]
    for pair in find_copies(given):
        later, earlier = runs[pair.later], runs[pair.earlier]
        # A run from here was trained and is no copy, even where it came after the submission with its predictions.
        if later.kind != "submission":
            later, earlier = earlier, later
        if later.kind == "submission":
            told = f"{pair.likeness} as {_system_words(earlier)} ({earlier.run_id})."
            found.setdefault(owners[later.run_id], []).append(Mark("copy", told, (later.run_id,)))
    return found


def _system_words(run: BoardRun) -> str:
    return f"'{run.spec['system']}'" if "system" in run.spec else system_title({**run.spec, "kind": run.kind})


def _has_scores(run: BoardRun) -> bool:
    return bool(run.extra.get("submission", {}).get("scores", True))


def _one_class_marks(run: BoardRun, scores: NDArray[Any]) -> Iterator[Mark]:
    chosen = scores.argmax(axis=1)
    if (chosen == chosen[0]).all():
        name = run.judged_task.task.classes[chosen[0]]
        yield Mark("degenerate", f"Every cycle is called {name}.", (run.run_id,))


_NUMBER_WORDS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine"}


def _tied_score_marks(run_id: str, scores: NDArray[Any]) -> Iterator[Mark]:
    largest = scores.max(axis=1, keepdims=True)
    equal = (scores == largest).sum(axis=1)
    flat, tied = int((equal == scores.shape[1]).sum()), int((equal > 1).sum())
    if flat:
        count = _NUMBER_WORDS.get(scores.shape[1], scores.shape[1])
        yield Mark("equal scores", f"{flat:,} of {len(scores):,} cycles have {count} equal scores.", (run_id,))
    if tied > flat:
        yield Mark("ties", f"{tied - flat:,} of {len(scores):,} cycles have several largest scores.", (run_id,))
