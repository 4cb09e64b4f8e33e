"""Where things are: results, data and cache, each from a flag, an environment variable or a default."""

from __future__ import annotations

import os
from pathlib import Path

from bench.errors import SpecError
from leaderboard.text import echoed


def expanded(path: Path | str) -> Path:
    """A path whose leading ``~`` or ``~user`` is replaced by that home folder.

    Raises:
        SpecError: If there is no such user, or no home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise SpecError(
            f"The home folder in {echoed(path)} is not known on this machine.", "Write the whole path without ~."
        ) from error


def _choose(flag: Path | None, variable: str, default: Path) -> Path:
    if flag is not None:
        return expanded(flag)
    value = os.environ.get(variable)
    return expanded(value) if value else default


def home_folder(flag: Path | None = None) -> Path:
    """Results: ``leaderboard.sqlite``, ``runs/<id>/``, ``studies/`` (``BENCH_HOME``, default ``./results``)."""
    return _choose(flag, "BENCH_HOME", Path("results"))


def board_location(home: Path) -> Path | str:
    """Where the board is: the database whose URL ``BENCH_STORE`` holds, otherwise the one in the results folder.

    There is no flag for it, because a command line shows a password to everybody on the machine.
    """
    return os.environ.get("BENCH_STORE") or home


def data_folder(flag: Path | None = None) -> Path:
    """The ICBHI files, nested anywhere below it (``BENCH_DATA``, default ``./data/icbhi``)."""
    return _choose(flag, "BENCH_DATA", Path("data") / "icbhi")


def cache_folder(flag: Path | None = None) -> Path:
    """Features, weights and the simulated set (``BENCH_CACHE``, default the user's cache folder)."""
    base = os.environ.get("XDG_CACHE_HOME")
    default = (Path(base) if base else Path.home() / ".cache") / "lungbench"
    return _choose(flag, "BENCH_CACHE", default)
