"""Every table that the reports print, filled from boards whose names are as long and as odd as names can be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from board_runs import write_run
from row_systems import systems_with
from site_boards import cycles_of_patients, make_board

from leaderboard.published import TABLES, printed_table
from leaderboard.results.schema import Rule
from leaderboard.statistics.comparison import compare, runs_of
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import Table, leaderboard_table, runs_table
from leaderboard.tables.comparison_table import comparison_table
from leaderboard.tables.paper_tables import PaperTable, paper_table
from leaderboard.tables.published_table import published_table
from leaderboard.tables.run_parts import parts_table

LONG = "a_plugin.with_a_model_of_a_name_so_long_that_no_column_of_a_table_holds_it"
ODD = "Ünïcode λ-Net 表示 ∞ – a_b%c&d#e$f^g~h\\i{j} --"
PART = "partial (198 of 920)"
NAMES = ("leaderboard", *TABLES, "published", "runs", "comparison", "parts")

AnyTable = Table | PaperTable
_PATCHMIX = {"alpha": 1.0, "mix": "patch", "negatives": "all", "target": "stop-z"}


def long_board(home: Path, most: int = 5) -> Store:
    """The board of :func:`site_boards.make_board` with the paper's method, long and odd names, and twins.

    Args:
        home: The results folder.
        most: Seeds of the paper's method.
    """
    store, cycles = make_board(home), cycles_of_patients()
    runs: list[dict[str, Any]] = [
        {"seed": seed, "method_options": _PATCHMIX, "epochs": 3} for seed in range(1, most + 1)
    ]
    runs += [{"model": name, "method": "a-method", "skill": 1.2} for name in (LONG, ODD)]
    runs += [{"model": "efficientnet-b0", "method": "ce", "pretrain": start} for start in ("none", "imagenet")]
    runs += [{"method": "ce", "method_options": {"smoothing": 0.1}}, {"method": "ce", "seed": 4, "partial": PART}]
    runs += [{"model": "cnn6", "method": "ce", "method_options": {}, "pretrain": "none", "dataset": "demo"}]
    for run in runs:
        store.import_run(write_run(home, cycles=cycles, **run))
    return store


def report_tables(store: Store, protocol: Rule = "best-test") -> dict[str, AnyTable]:
    """The tables by name; those of the paper under a selection rule."""
    expected: Any = {"patchmix-cl": {"icbhi": {"epochs": 50}}, "cl-patch": {"icbhi": {"epochs": 50}}}
    tables: dict[str, AnyTable] = {
        name: paper_table(printed_table(name), store, protocol, systems_with(name, expected)) for name in TABLES
    }
    tables |= {"leaderboard": leaderboard_table(store), "published": published_table(), "runs": runs_table(store)}
    board = store.runs()
    judged = [run for run in board if run.status == "finished" and not run.partial and run.spec["dataset"] == "icbhi"]
    first = next(run for run in judged if run.spec["epochs"] == 3)
    second = next(run for run in judged if run.spec["model"] == LONG)
    sides = [runs_of(store, board, run.run_id, "last") for run in (first, second)]
    tables["comparison"] = comparison_table(compare(store, *sides, "last"))
    tables["parts"] = parts_table(store, store.run(first.run_id))
    return {name: tables[name] for name in NAMES}
