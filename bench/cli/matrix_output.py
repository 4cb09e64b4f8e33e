"""How matrices are printed: what would be run and what it will take, how far it is, how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.cli.grid import print_grid
from bench.cli.output import print_text
from bench.core.text import counted_noun

if TYPE_CHECKING:
    from bench.api.begun_matrices import MatrixStatus

MOST_ROWS = 200
"""Runs that a terminal gets: nobody reads more there; JSON has all."""

ESTIMATE_HEADS = ("time", "memory", "from")


def duration_words(seconds: float | None) -> str:
    """A length of time: ``45 s``, ``12 min``, ``3.5 h``."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def memory_words(mib: float | None) -> str:
    """An amount of memory, in GiB."""
    return "–" if mib is None else f"{mib / 1024:.1f} GiB"


def estimate_cells(runs: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], list[list[str]]]:
    """The heads and cells that say what runs will take; none where nothing is known of any.

    Args:
        runs: Runs as a dry run describes them.
    """
    if not any(run["estimate"]["seconds"] or run["estimate"]["memory_mib"] for run in runs):
        return (), [[] for _ in runs]
    cells = []
    for run in runs:
        told = run["estimate"]
        cells.append([duration_words(told["seconds"]), memory_words(told["memory_mib"]), told["source"]])
    return ESTIMATE_HEADS, cells


def print_total(document: Mapping[str, Any]) -> None:
    """Print what the missing runs of a dry run will take together, and the script that Slurm would be given."""
    total = document["total"]
    words = f"{counted_noun(total['missing'], 'run')} to do, {total['done']} done"
    if total["hours"] is not None:
        words += f": about {duration_words(total['hours'] * 3600)} with {total['jobs']} at a time"
        words += f", at most {memory_words(total['memory_mib'])} of memory each" if total["memory_mib"] else ""
    if total["unknown"]:
        words += f"; nothing is known of {total['unknown']} (`bench models bench` measures models)"
    print_text(words)
    if document["script"]:
        print_text(document["script"])


def print_planned_matrix(document: Mapping[str, Any]) -> None:
    """Print the runs that a file comes down to."""
    more, cells = estimate_cells(document["runs"])
    heads = ("cell", "run", "seed", "status", *more)
    rows = [
        ["\n".join(run["rows"]), run["run_id"], str(run["seed"]), run["status"], *cells[place]]
        for place, run in enumerate(document["runs"][:MOST_ROWS])
    ]
    print_grid(f"{document['name']}, profile {document['profile']}", heads, rows, numbers=("seed",), wrap=("cell",))
    _print_left_out(len(document["runs"]))
    print_total(document)


def print_ended(document: Mapping[str, Any]) -> None:
    """Print how the runs of a matrix ended."""
    rows = [
        ["\n".join(run["rows"]), run["run_id"], str(run["seed"]), run["status"], run["error"] or ""]
        for run in document["runs"][:MOST_ROWS]
    ]
    heads = ("cell", "run", "seed", "status", "error")
    print_grid(document["name"], heads, rows, numbers=("seed",), wrap=("cell", "error"))
    _print_left_out(len(document["runs"]))


def print_status(status: MatrixStatus) -> None:
    """Print how far the runs of a matrix are; a column that says nothing of any run is left out."""
    runs = _telling_first(status)[:MOST_ROWS]
    columns: dict[str, list[str]] = {
        "for": ["\n".join(run.rows) for run in runs],
        "run": [run.run_id for run in runs],
        "seed": [str(run.seed) for run in runs],
        "state": [f"{run.state}, saved" if run.saved else run.state for run in runs],
        "epoch": ["" if run.epoch is None else f"{run.epoch}/{run.epochs or '?'}" for run in runs],
        "loss": ["" if run.loss is None else f"{run.loss:.4f}" for run in runs],
        "Score": ["" if run.score is None else f"{run.score:.2f}" for run in runs],
        "left": ["" if run.seconds_left is None else duration_words(run.seconds_left) for run in runs],
    }
    told = {head: cells for head, cells in columns.items() if any(cells)}
    record = status.record
    title = f"{record['name']}, begun {record['begun']} on {record['launcher']}"
    rows = list(zip(*told.values(), strict=True))
    print_grid(title, list(told), rows, numbers=("seed", "loss", "Score"), wrap=("for",))
    _print_left_out(len(status.runs))
    counts = ", ".join(f"{count} {state}" for state, count in status.counts.items())
    print_text(
        f"{counted_noun(len(status.runs), 'run')}: {counts}; "
        f"{'a process is' if status.driven else 'no process is'} at it"
    )
    for run in status.runs:
        if run.state == "failed":
            log = f" Its log: {run.log}" if run.log else ""
            print_text(f"failed: {', '.join(run.rows)}: run {run.run_id}, seed {run.seed}: {run.error}{log}")
    for place, message in record["refused"].items():
        print_text(f"cannot start: {place}: {message}")


def _telling_first(status: MatrixStatus) -> list[Any]:
    """The runs in their order; where not all are shown, those first that run or failed."""
    if len(status.runs) <= MOST_ROWS:
        return list(status.runs)
    return sorted(status.runs, key=lambda run: ("running", "failed", "missing", "done").index(run.state))


def _print_left_out(count: int) -> None:
    if count > MOST_ROWS:
        print_text(f"{counted_noun(count - MOST_ROWS, 'more run is', 'more runs are')} in --format json")


def print_list(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the matrices of a results folder."""
    heads = ("matrix", "begun", "launcher", "at work", *("done", "running", "missing", "failed"), "from")
    cells = [
        [
            row["name"],
            row["begun"],
            row["launcher"],
            "yes" if row["driven"] else "no",
            *(str(row["counts"][state]) for state in ("done", "running", "missing", "failed")),
            row["source"],
        ]
        for row in rows
    ]
    print_grid("matrices", heads, cells, numbers=("done", "running", "missing", "failed"), wrap=("from",))
