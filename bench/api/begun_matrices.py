"""Matrices that were begun: listed, looked at and cancelled from another process."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from bench.api.requests import FilePath
from bench.core.errors import ResultError, StoreError
from bench.core.paths import home_folder
from bench.core.text import counted_noun

if TYPE_CHECKING:
    from bench.launch.matrix.cancel import Cancelled
    from bench.launch.matrix.status import MatrixStatus as MatrixStatus

logger = logging.getLogger(__name__)


def list_matrices(home: FilePath | None = None) -> list[dict[str, Any]]:
    """The matrices of a results folder, the one that was begun last first, each with how many runs are in which state.

    One whose record is broken is left out, and a warning says so.

    Args:
        home: Results folder (default: ``BENCH_HOME`` or ./results).
    """
    from bench.launch.matrix.folder import matrix_folders
    from bench.launch.matrix.status import status_of

    place = home_folder(home)
    found = []
    for folder in matrix_folders(place):
        try:
            found.append(status_of(folder, place))
        except ResultError as error:
            # The others can be listed all the same.
            logger.warning(f"the matrix {folder.name} is left out: {error.message}")
    names = ("name", "source", "begun", "launcher")
    return [{**{name: one.record[name] for name in names}, "driven": one.driven, "counts": one.counts} for one in found]


def matrix_status(name: str | None = None, home: FilePath | None = None) -> MatrixStatus | None:
    """How far a matrix is; results that an engine on other machines has left are brought to the board first.

    Args:
        name: The matrix; None for the one that was begun last.
        home: Results folder (default: ``BENCH_HOME`` or ./results).

    Returns:
        None where no name is given and there is no matrix.

    Raises:
        SpecError: If there is no matrix of this name.
        ResultError: If its record is broken.
    """
    from bench.launch.matrix.folder import find_matrix
    from bench.launch.matrix.status import bring_results, status_of

    place = home_folder(home)
    folder = find_matrix(place, name)
    if folder is None:
        return None
    try:
        brought = bring_results(folder, place)
    except StoreError as error:
        # Whoever may only read the results may still look at how far they are.
        logger.warning(f"no result is brought to the board: {error.message}")
    else:
        if brought:
            logger.info(f"{counted_noun(brought, 'result was', 'results were')} brought to the board")
    return status_of(folder, place)


def cancel_matrix(name: str, home: FilePath | None = None) -> Cancelled:
    """Stop a matrix from another process; its runs save their state.

    Args:
        name: The matrix.
        home: Results folder (default: ``BENCH_HOME`` or ./results).

    Raises:
        SpecError: If there is no matrix of this name.
    """
    from bench.launch.matrix import cancel
    from bench.launch.matrix.folder import find_matrix

    folder = find_matrix(home_folder(home), name)
    assert folder is not None
    return cancel.cancel_matrix(folder)


def cancelled_words(done: Cancelled) -> str:
    """What a cancellation came to, in a sentence."""
    jobs = "" if done.jobs is None else f" {counted_noun(done.jobs, 'job was', 'jobs were')} taken out of the queue."
    if not done.driven:
        return f"No process is at the matrix '{done.name}'.{jobs}"
    if done.stopped:
        return f"The matrix '{done.name}' was stopped; what was under way has saved its state.{jobs}"
    return f"The matrix '{done.name}' was asked to stop, and its runs are still saving their state.{jobs}"
