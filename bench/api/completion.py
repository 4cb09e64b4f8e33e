"""Ids and names that exist, for the completion of a word while it is typed: quick, and nothing heavy is imported.

Only files of the results folder are looked at. A database on a server and a storage of studies elsewhere are left out:
nobody waits for a network while typing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from bench.core import paper
from bench.core.paths import home_folder
from leaderboard.store.names import run_ids, system_names

BOARD_FILE = "leaderboard.sqlite"
"""As ``leaderboard.store.database`` has it, which would bring SQLAlchemy with it."""

STUDY_ENDING = ".journal"
"""As ``bench.search.storage`` has it, which would bring Optuna with it."""


def models(home: Path | None = None) -> Iterable[str]:
    """Ids of the models that are listed."""
    return _ids("model")


def methods(home: Path | None = None) -> Iterable[str]:
    """Ids of the methods."""
    return _ids("method")


def frontends(home: Path | None = None) -> Iterable[str]:
    """Ids of the front-ends."""
    return _ids("frontend")


def reports(home: Path | None = None) -> tuple[str, ...]:
    """What ``bench report`` shows: its own tables, and the ids of the data sets."""
    return ("leaderboard", "published", "transfer", *paper.TABLES, paper.FIGURE, *datasets())


def datasets(home: Path | None = None) -> Iterable[str]:
    """Ids of the data sets."""
    from bench.core.datasets import DATASETS

    return [entry.id for entry in DATASETS]


def tasks(dataset: str | None = None) -> Iterable[str]:
    """Ids of the tasks.

    Args:
        dataset: The data set whose tasks are wanted; None for those of all.
    """
    from bench.core.datasets import DATASETS

    cards = [DATASETS.card(dataset)] if dataset else [entry.card for entry in DATASETS]
    return [task.id for card in cards for task in card.tasks]


def published_systems(home: Path | None = None) -> Iterable[str]:
    """Ids of the systems that can be run."""
    from bench.experiment.registries import SYSTEMS

    return [entry.id for entry in SYSTEMS]


def parts(home: Path | None = None) -> Iterable[str]:
    """Parts of a run's spec, and the owners of options."""
    from bench.api.settings import PARTS
    from bench.experiment.spec import OWNERS

    return [*PARTS, *OWNERS]


def _ids(kind: str) -> list[str]:
    from bench.experiment.registries import registries

    return [entry.id for entry in registries()[kind]]


def runs(home: Path | None = None) -> Iterable[str]:
    """Ids of the runs of the board, and of the run folders.

    Args:
        home: The results folder (default: ``BENCH_HOME`` or ./results).
    """
    folder = home_folder(home)
    return {*_of_board(folder, run_ids), *_names_in(folder / "runs"), *_names_in(folder / "submissions")}


def systems(home: Path | None = None) -> Iterable[str]:
    """Names of the systems that were submitted to the board.

    Args:
        home: The results folder.
    """
    return _of_board(home_folder(home), system_names)


def runs_and_systems(home: Path | None = None) -> Iterable[str]:
    """What can be compared: ids of runs, and names of submitted systems.

    Args:
        home: The results folder.
    """
    return {*runs(home), *systems(home)}


def studies(home: Path | None = None) -> Iterable[str]:
    """Names of the studies of the results folder, each of which is a file.

    Args:
        home: The results folder.
    """
    names = _names_in(home_folder(home) / "studies")
    return [name.removesuffix(STUDY_ENDING) for name in names if name.endswith(STUDY_ENDING)]


def matrices(home: Path | None = None) -> Iterable[str]:
    """Names of the matrices of the results folder.

    Args:
        home: The results folder.
    """
    return _names_in(home_folder(home) / "matrices")


def _of_board(folder: Path, read: Callable[[Path], list[str]]) -> list[str]:
    file = folder / BOARD_FILE
    return read(file) if "BENCH_STORE" not in os.environ and file.is_file() else []


def _names_in(folder: Path) -> list[str]:
    """Names in a folder, those of temporary files left out; none where it is not there."""
    if not folder.is_dir():
        return []
    return [path.name for path in folder.iterdir() if not path.name.startswith(".")]
