"""Ensembles: the predictions of finished runs, combined afterwards into one result on the board."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.api.calls import api_call
from bench.api.composites import CombinedRun
from bench.api.words import known_word
from bench.core.errors import ResultError
from bench.core.paths import board_location, expanded, home_folder
from bench.core.provenance import code_version, package_versions
from bench.core.text import echoed

if TYPE_CHECKING:
    from bench.api.run_result import Run
    from leaderboard.results.finished_parts import FinishedPart
    from leaderboard.results.run_result import RunResult
    from leaderboard.results.schema import ResultDocument
    from leaderboard.store.store import Store

logger = logging.getLogger(__name__)

MOST_NAMED = 3
"""Different systems that the name of an ensemble lists."""


@api_call
def ensemble(
    runs: Sequence[str | Path | Run | CombinedRun],
    combine: str = "mean",
    *,
    name: str | None = None,
    home: str | Path | None = None,
    dry_run: bool = False,
) -> CombinedRun:
    """Combine the predictions of finished runs, score them, and put the result on the board as an ensemble.

    Rule by rule, as far as all runs have predictions under it. The order of the runs does not matter, and the same call
    gives back the ensemble that is there.

    Args:
        runs: Ids of runs, beginnings of them, run folders, or runs as :func:`bench.run` returns them; two or more.
        combine: ``mean`` of the probabilities, their ``product`` (each at least 1e-12; divided by the sum over
            classes), or the ``max`` of them (divided likewise). Of equal scores the first class counts.
        name: Name of the ensemble on the board (default: what it is made of).
        home: Results folder (default: ``BENCH_HOME`` or ./results).
        dry_run: Check and score it, and store nothing.

    Returns:
        The ensemble.

    Raises:
        ResultError: If a run is missing, has not finished, was retracted, is a trial or a submission, or counts twice
            (also within a composite); if they were judged on different cycles or made on different data; or if a file
            is damaged.
        StoreError: If the board or the folder cannot be written.
    """
    from leaderboard.results.combinations import POOLINGS
    from leaderboard.results.composites import Combination, combined_result, store_combined
    from leaderboard.results.run_folder import RunFolder
    from leaderboard.store.store import Store

    folder = home_folder(home)
    store = Store.open(board_location(folder))
    words = [str(getattr(run, "folder", run)) for run in runs]
    parts = _finished_parts(words, folder, store)
    title = _checked_name(name) if name is not None else _title(parts)
    seed = min(part.document["spec"]["seed"] for part in parts)
    combination = Combination("ensemble", title, known_word("combination", combine, POOLINGS), parts, seed)
    result = combined_result(combination, {"code": code_version(), "packages": package_versions()})
    place = RunFolder.of_run(folder, combination.run_id)
    if dry_run:
        return CombinedRun(place.path, result)
    # A board that cannot take the ensemble must be found out before its folder is written.
    store.rehearse([result])
    stored, written = store_combined(place, result)
    kept = stored.document["spec"]["model"]
    if name is not None and kept != name:
        logger.warning(f"ensemble {place.path.name} is there already and keeps its name, {echoed(kept)}")
    if store.import_result(stored) == "retracted":
        logger.warning(f"ensemble {place.path.name} was retracted and stays off the board; `bench board log` tells why")
    return CombinedRun(place.path, stored, new=written)


def _finished_parts(words: Sequence[str], home: Path, store: Store) -> list[FinishedPart]:
    """The runs that some words mean as parts, named by their ids."""
    from leaderboard.results.finished_parts import FinishedPart
    from leaderboard.store.result_rows import system_hash

    if len(words) < 2:
        raise ResultError(f"An ensemble needs two runs or more, but {len(words)} is named.", "Name another run.")
    parts: dict[str, FinishedPart] = {}
    for word in words:
        result = _read(word, home, store)
        run_id = result.document["run_id"]
        if run_id in parts:
            raise ResultError(f"The run {run_id} is named twice.", "Name each run once.")
        parts[run_id] = FinishedPart(run_id, result, system_hash(result.document["spec"]))
    _check_models(list(parts.values()), home, store)
    return list(parts.values())


def _check_models(parts: Sequence[FinishedPart], home: Path, store: Store) -> None:
    """Check that no run counts twice, by itself or within what is combined already, and that none was retracted."""
    owners: dict[str, str] = {}
    retracted = store.history().retracted
    for part in parts:
        run_id = part.document["run_id"]
        for model in _models(part.result, home, store):
            if model in retracted:
                reason = retracted[model].details["reason"]
                raise ResultError(f"The run {model} was retracted: {echoed(reason, 200)}.", "Leave it out.")
            if model in owners:
                places = " and ".join(f"of {one}" for one in dict.fromkeys((owners[model], run_id)))
                raise ResultError(f"The run {model} would count twice, as a part {places}.", "Name each run once.")
            owners[model] = run_id


def _models(result: RunResult, home: Path, store: Store) -> list[str]:
    """Ids of the runs that answer for a result: itself, or the parts that it is combined of."""
    parts = result.document.get("parts", [])
    if not parts:
        return [result.document["run_id"]]
    found = []
    for part in parts:
        try:
            found += _models(_read(part["run_id"], home, store), home, store)
        except ResultError:
            # A part that was cleared away; what it was combined of is not known then.
            found.append(part["run_id"])
    return found


def _read(word: str, home: Path, store: Store) -> RunResult:
    """The result that an id, its beginning or a run folder means: from its folder, otherwise from the board."""
    from leaderboard.results.run_folder import RunFolder

    path = expanded(word)
    if not path.is_dir():
        begun = RunFolder.of_run(home, word)
        if begun.path.is_dir() and not begun.has_result():
            raise ResultError(f"The run {word} has no result: it is running, or was stopped.", "Finish it first.")
        run_id = store.find(word)
        folder = RunFolder.of_run(home, run_id)
        return folder.read() if folder.has_result() else store.result(run_id)
    folder = RunFolder(path)
    if not folder.has_result():
        raise ResultError(f"{path} is no folder of a finished run: it holds no result.", "Name a run, or its folder.")
    return folder.read()


def _checked_name(name: str) -> str:
    from leaderboard.results.submissions import LONGEST_LINE, is_line

    if not is_line(name):
        raise ResultError(f"--name must be one line of 1 to {LONGEST_LINE} characters.")
    return name


def _system_name(document: ResultDocument) -> str:
    spec = document["spec"]
    # What is combined has a name of its own.
    return str(spec["model"]) if "parts" in document else f"{spec['model']} + {spec['method']}"


def _title(parts: Sequence[FinishedPart]) -> str:
    """What an ensemble is called that nobody has named: the systems that it is made of, with their number."""
    names = [_system_name(part.document) for part in parts]
    different = list(dict.fromkeys(sorted(names)))
    counted = [f"{names.count(one)} × {one}" if names.count(one) > 1 else one for one in different]
    title = ", ".join(counted)
    return title if len(different) <= MOST_NAMED and len(title) <= 200 else f"{len(parts)} runs"
