"""Uses lungbench as it is installed, without its checkout: every kind of file that the wheel carries is read.

``python tests/packaging/use_installed.py SCRATCH`` runs commands one after the other in this process, in the empty
folder SCRATCH, and prints a line for each. It fails where a package comes from the checkout.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import shlex
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OLD_BOARD = ROOT / "tests" / "leaderboard" / "store" / "board-0003.sql"
SMALL_RUN = (
    "run --model ast --method patchmix-cl --set embed_dim=16 --set depth=1 --set heads=2 --set seconds=1.0 "
    "--set batch=8 --epochs 1 --data data --device cpu --precision fp32"
)

# At the end: helpers of the tests, and nothing that has a name of the project's packages.
sys.path.append(str(ROOT / "tests" / "support"))


def refuse_the_checkout() -> None:
    """Fail where a package of the project is found in the checkout."""
    for name in ("baselines", "bench", "leaderboard", "methods"):
        place = Path(importlib.import_module(name).__file__ or "").resolve()
        assert not place.is_relative_to(ROOT), f"{name} is that of the checkout: {place}"


def output(line: str) -> str:
    """Run a command line of ``bench`` that must succeed; gives what it printed on stdout."""
    from bench.cli import main

    out, ended = io.StringIO(), None
    try:
        with contextlib.redirect_stdout(out):
            main(shlex.split(line))
    except SystemExit as end:
        ended = end.code
    assert not ended, f"bench {line}: exit code {ended}\n{out.getvalue()}"
    return out.getvalue()


def document(line: str) -> object:
    """Run a command line of ``bench`` with ``--format json``; gives the document."""
    return json.loads(output(f"{line} --format json"))


def _page(name: str) -> int:
    """The size of a page that was written."""
    return Path(name).stat().st_size


def _an_old_board() -> None:
    Path("older").mkdir()
    with contextlib.closing(sqlite3.connect("older/leaderboard.sqlite")) as connection:
        connection.executescript(OLD_BOARD.read_text(encoding="utf-8"))


def _small_data() -> None:
    from small_data import write_small_data

    write_small_data(Path("data"))


def _a_study() -> None:
    from kept_studies import keep_study

    keep_study(Path("results"), "figure2-tau", {0.02: [57.0, 58.0], 0.06: [60.0, 61.0], 0.2: [58.5, 58.5]})


CHECKS: dict[str, Callable[[], bool]] = {
    "help": lambda: "reproduce" in output("--help"),
    "models and their cards": lambda: len(document("models list")) > 25,
    "systems": lambda: len(document("systems list")) > 20,
    "data sets and their facts": lambda: "sprsound" in output("data list") and "events" in output("data show sprsound"),
    "printed tables": lambda: len(document("report table3")["rows"]) == 24,
    "results printed by others": lambda: "2026" in output("report published --format csv"),
    "results printed on SPRSound": lambda: "Score" in output("report sprsound"),
    "a run": lambda: document(SMALL_RUN)["status"] == "finished",
    "the same run again": lambda: "last" in output(SMALL_RUN),
    "the board": lambda: "patchmix-cl" in output("board list"),
    "the board's page": lambda: output("report --format html --out site") == "" and _page("site/index.html") > 400_000,
    "a table as a page": lambda: output("report table1 --format html --out t.html") == "" and _page("t.html") > 10_000,
    "the board made anew": lambda: output("board rebuild") == "",
    "migrations": lambda: output("board upgrade --home older") != "x" and "ast" in output("board list --home older"),
    "figures of a search": lambda: (
        output("report figure2 --format html --out f.html") == "" and _page("f.html") > 9_000
    ),
}
"""What is tried, in this order."""


def use(scratch: Path) -> None:
    """Do all that; raises AssertionError where something is not as it should be."""
    refuse_the_checkout()
    os.chdir(scratch)
    os.environ.update(BENCH_HOME="results", BENCH_CACHE=str(scratch / "cache"))
    os.environ.pop("BENCH_DATA", None)
    for make in (_small_data, _a_study, _an_old_board):
        make()
    for what, check in CHECKS.items():
        assert check(), what
        print(f"works: {what}")  # noqa: T201


if __name__ == "__main__":
    use(Path(sys.argv[1]).resolve())
