"""Where things are: results, data and cache, each from a flag, an environment variable or a default."""

from __future__ import annotations

import os
from pathlib import Path

from bench.errors import StoreError


def _choose(flag: Path | None, variable: str, default: Path) -> Path:
    if flag is not None:
        return flag.expanduser()
    value = os.environ.get(variable)
    return Path(value).expanduser() if value else default


def home_folder(flag: Path | None = None) -> Path:
    """Results: ``leaderboard.sqlite``, ``runs/<id>/``, ``studies/`` (``BENCH_HOME``, default ``./results``)."""
    return _choose(flag, "BENCH_HOME", Path("results"))


def board_location(home: Path) -> Path | str:
    """Where the board is: the database whose URL ``BENCH_STORE`` holds, otherwise the one in the results folder.

    There is no flag for it, because a command line shows a password to everybody on the machine.

    Raises:
        StoreError: If it holds no URL; it is not repeated, since it may hold a password.
    """
    url = os.environ.get("BENCH_STORE")
    if url and "://" not in url:
        raise StoreError(
            "BENCH_STORE holds no URL.",
            "Write it as postgresql://user@host/name, or sqlite:///folder/leaderboard.sqlite; a folder is named with "
            "BENCH_HOME or --home.",
        )
    return url or home


def data_folder(flag: Path | None = None) -> Path:
    """The ICBHI files, nested anywhere below it (``BENCH_DATA``, default ``./data/icbhi``)."""
    return _choose(flag, "BENCH_DATA", Path("data") / "icbhi")


def cache_folder(flag: Path | None = None) -> Path:
    """Features, weights and the simulated set (``BENCH_CACHE``, default the user's cache folder)."""
    base = os.environ.get("XDG_CACHE_HOME")
    default = (Path(base) if base else Path.home() / ".cache") / "lungbench"
    return _choose(flag, "BENCH_CACHE", default)
