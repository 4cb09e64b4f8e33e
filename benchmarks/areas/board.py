"""Store, reports and statistics on a board of 10,000 made-up runs."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.timing import Body
from benchmarks.runner import Benchmark, Case, Setting

RUNS, QUICK_RUNS = 10_000, 1_000
SYSTEMS, SEEDS = 20, 5
RESAMPLES, QUICK_RESAMPLES = 1000, 100


def report_case(setting: Setting, folder: Path) -> Case:
    """The leaderboard of all runs, against reading every run's result file."""
    from benchmarks.made_up_board import multiply_runs, write_made_up_run
    from leaderboard.store.store import Store

    runs = QUICK_RUNS if setting.quick else RUNS
    run = write_made_up_run(folder)

    def leaderboard() -> Body:
        from leaderboard.tables.board_tables import leaderboard_table

        store = Store.open(folder)
        store.import_run(run)
        multiply_runs(store, runs - 1)
        return lambda: leaderboard_table(store, "last")

    def files() -> Body:
        def read() -> float:
            scores = [json.loads((run / "result.json").read_text())["metrics"]["last"] for _ in range(runs)]
            return float(np.mean([next(iter(one.values()))["score"] for one in scores]))

        return read

    return Case(ways={"": leaderboard}, reference=files, work=runs)


def import_case(setting: Setting, folder: Path) -> Case:
    """One run checked and stored, against its document put into a table as it is."""
    from benchmarks.made_up_board import write_made_up_run
    from leaderboard.store.store import Store

    run = write_made_up_run(folder)

    def store() -> Body:
        board = Store.open(folder)
        return lambda: board.import_run(run, anew=True)

    def table() -> Body:
        connection = sqlite3.connect(folder / "plain.sqlite")
        connection.execute("CREATE TABLE runs (document TEXT, predictions BLOB)")

        def put() -> None:
            row = ((run / "result.json").read_text(), (run / "predictions-last.csv").read_bytes())
            json.loads(row[0])
            with connection:
                connection.execute("INSERT INTO runs VALUES (?, ?)", row)

        return put

    return Case(ways={"": store}, reference=table)


def statistics_case(setting: Setting, folder: Path) -> Case:
    """Intervals of twenty systems of five seeds, against a bootstrap of each over patients."""
    from benchmarks.simulated_boards import STEADY, SimulatedTestPart

    board = SimulatedTestPart(STEADY).board(SYSTEMS, SEEDS, np.random.default_rng(0))

    def intervals() -> Body:
        from leaderboard.statistics.intervals import estimate_from_hits
        from leaderboard.statistics.patient_hits import PatientHits

        return lambda: [estimate_from_hits(PatientHits.of(counts), None) for counts in board]

    resamples = QUICK_RESAMPLES if setting.quick else RESAMPLES

    def bootstrap() -> Body:
        return lambda: [_bootstrap(counts, resamples, np.random.default_rng(1)) for counts in board]

    return Case(ways={"": intervals}, reference=bootstrap, work=SYSTEMS)


def _bootstrap(counts: Any, resamples: int, rng: np.random.Generator) -> tuple[float, float]:
    """The 95 % percentile interval of the Score over resampled patients; counts are (S, P, 4, 4)."""
    found = []
    for _ in range(resamples):
        drawn = counts[:, rng.integers(0, counts.shape[1], counts.shape[1])].sum(axis=(0, 1))
        normal, abnormal = drawn[0, 0] / drawn[0].sum(), np.trace(drawn[1:, 1:]) / drawn[1:].sum()
        found.append(50.0 * (normal + abnormal))
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


BENCHMARKS = [
    Benchmark(
        name="board/import",
        unit="runs",
        about="A made-up run's folder read, checked and stored.",
        reference="The same files put into an SQLite table as they are, nothing checked.",
        case=import_case,
    ),
    Benchmark(
        name="board/statistics",
        unit="systems",
        about="Intervals of 20 simulated systems of five seeds on a test part as large as ICBHI's.",
        reference=f"A bootstrap over patients, {RESAMPLES:,} resamples each ({QUICK_RESAMPLES} with --quick), in NumPy.",
        case=statistics_case,
    ),
    Benchmark(
        name="board/leaderboard",
        unit="runs",
        about=f"The leaderboard of {RUNS:,} made-up runs ({QUICK_RUNS:,} with --quick), five seeds a system.",
        reference="Reading as many result files and taking the mean of their Scores.",
        case=report_case,
    ),
]
