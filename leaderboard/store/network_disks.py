"""A board in SQLite on a disk that machines share: it is said once that this is not safe."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path

from bench.core.mounts import mount_of

logger = logging.getLogger(__name__)


def warn_of_network_disk(path: Path) -> None:
    """Warn, once in a process, where a board's file is on a network file system.

    It is no error: where one process alone writes, nothing is lost. SQLite itself advises against more
    (https://www.sqlite.org/useovernet.html), and its write-ahead log needs memory that machines do not share.

    Args:
        path: The file.
    """
    mount = mount_of(path)
    if mount is not None and mount.is_network:
        _warn(path, mount.kind)


@cache
def _warn(path: Path, kind: str) -> None:
    logger.warning(
        f"The board {path} is on {kind}, a disk that machines share: SQLite may lose or damage it when two of them "
        "write. Name a PostgreSQL database in BENCH_STORE, or set BENCH_STORE=none on all machines but one, which "
        "brings their results in with `bench board import`."
    )
