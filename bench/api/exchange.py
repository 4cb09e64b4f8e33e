"""What comes onto a board from outside, and what leaves it: submissions, and bundles of runs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from dataclasses import replace as dataclass_replace
from pathlib import Path
from typing import Any

from bench.api.boards import Board
from bench.api.official_cycles import official_test_cycles
from bench.api.tasks import judged_words
from bench.core.datasets import DATASETS
from bench.core.errors import StoreError
from bench.core.hub import is_on_hub
from bench.core.paths import cache_folder
from bench.core.provenance import code_version
from bench.core.text import counted_noun
from bench.core.version import __version__
from bench.data.location import made_set
from bench.experiment.hub_runs import fetched_run
from bench.experiment.plugins import load_plugins
from leaderboard.history.keys import load_key
from leaderboard.history.signatures import submitter_key
from leaderboard.results import submissions
from leaderboard.results.bundle_merging import MergeReport, check_bundle, import_bundle
from leaderboard.results.bundle_writing import export_bundle
from leaderboard.results.folder_merging import import_folders
from leaderboard.results.inputs import UNDECLARED, Inputs, inputs_of
from leaderboard.results.official_part import OfficialPart
from leaderboard.results.submission_checks import RefusedError, refusal_document
from leaderboard.results.submissions import Statement, StoredSubmission, check_statement
from leaderboard.tasks import judged_task

__all__ = [
    "EnteredSubmission",
    "Inputs",
    "MergedBundle",
    "RefusedError",
    "Statement",
    "WrittenBundle",
    "export_runs",
    "import_bundles",
    "refusal_document",
    "submit",
]

logger = logging.getLogger(__name__)


# --- submissions ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class EnteredSubmission:
    """A system from outside, as the board holds it now.

    Attributes:
        system: Its name.
        run_id: The id of this submission.
        state: ``new``, ``same`` where the board held it already, or ``changed``.
        selection: How its epoch was chosen, as stated.
        seed: Its seed, as stated.
        dataset: Id of the data set.
        simulated: Whether it was judged on simulated data.
        partial: How much of the data set it was judged on, where not all of it.
        cycles: How many cycles were judged.
        metrics: Its rates by part (``official``, ``patient-disjoint``), then by ``4class`` and ``2class``; percent.
        spec: The identity fields that it stands on the board with.
        submission: What was stated, and the file's hash.
        inputs: What it uses beside the sound of one cycle, as declared.
        judged_set: Hash of the judged cycles.
        key: The public key that it is signed with; None where it is not.
        provenance: The code that judged it.
        folder: Its folder.
        remarks: What its submitter should know, in sentences.
    """

    system: str
    run_id: str
    state: str
    selection: str
    seed: int
    dataset: str
    simulated: bool
    partial: str | None
    cycles: int
    metrics: Mapping[str, Any]
    spec: Mapping[str, Any]
    submission: Mapping[str, Any]
    inputs: Mapping[str, Any]
    judged_set: str
    key: str | None
    provenance: Mapping[str, Any]
    folder: Path
    remarks: Sequence[str]

    @property
    def judged_words(self) -> str:
        """What it was judged on, in words."""
        return judged_words(judged_task(self.spec), self.partial)

    @property
    def rates(self) -> dict[str, str]:
        """The names of its rates in print, and in the metrics."""
        both = {"AS": "as", "HS": "hs"} if judged_task(self.spec).task.score == "challenge" else {}
        return {"Sp": "sp", "Se": "se", **both, "Score": "score"}

    @property
    def seen_parts(self) -> dict[str, str]:
        """The titles of the parts whose patients are in training, by their names in the metrics."""
        return {part.id: part.title for part in judged_task(self.spec).task.parts if part.patients_seen}

    def to_json(self) -> dict[str, Any]:
        """The document that ``bench board submit --format json`` prints."""
        document = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "remarks"}
        return {**document, "folder": str(self.folder)}


def submit(
    board: Board,
    file: Path,
    statement: Statement,
    *,
    data: str | None = None,
    dataset: str | None = None,
    task: str | None = None,
    cache: Path | None = None,
    allow_partial: bool = False,
    plugins: Sequence[Path] = (),
) -> EnteredSubmission:
    """Enter the predictions of a system from outside, checked against the official test cycles.

    With a key (:func:`bench.api.keys.own_key`) the submission is signed with it.

    Args:
        board: The board.
        file: Predictions, CSV or Parquet: recording, cycle, and the scores of the task's classes or ``predicted``.
        statement: What is said of the system.
        data: The folder with annotation files, or ``demo``.
        dataset: Id of the data set; None for the one that the folder holds, or else the primary one.
        task: Id of the task; None for the first of the set.
        cache: The cache folder.
        allow_partial: Be judged on the recordings that are there; marked as partial.
        plugins: Files of data sets of your own.

    Raises:
        RefusedError: If the predictions are not exactly those of the test cycles; it holds the difference.
        ResultError: If the file cannot be read, a statement is wrong, or the name belongs to another key.
        DataError: If the test cycles are not known.
        StoreError: If the board cannot be written.
    """
    check_statement(statement)
    load_plugins(plugins)
    key = load_key()
    if made_set(data, DATASETS.card(dataset) if dataset else None) is not None:
        logger.info("the simulated set is used (made on first use); the submission is marked as simulated")
    part = official_test_cycles(board, data, cache, dataset=dataset, task=task, allow_partial=allow_partial)
    done = submissions.submit(file, part, statement, board.home, board.store, code_version(), key)
    return _submission(done, part)


def _submission(done: StoredSubmission, part: OfficialPart) -> EnteredSubmission:
    document = done.document
    spec, stated = document["spec"], document["submission"]
    inputs = inputs_of("submission", spec, document)
    return EnteredSubmission(
        system=spec["system"],
        run_id=document["run_id"],
        state=done.state,
        selection=stated["selection"],
        seed=spec["seed"],
        dataset=part.dataset,
        simulated=DATASETS.card(part.dataset).simulated,
        partial=part.partial,
        cycles=len(part.cycles),
        metrics=done.metrics,
        spec=spec,
        submission=stated,
        inputs=inputs,
        judged_set=part.cycles.hash,
        key=stated.get("key"),
        provenance=document["provenance"],
        folder=done.folder,
        remarks=_remarks(done, part, inputs),
    )


def _remarks(done: StoredSubmission, part: OfficialPart, inputs: Mapping[str, Any]) -> list[str]:
    remarks = [f"checked against {part.source}: {counted_noun(len(part.cycles), f'test {part.task.unit_word}')}"]
    if done.stripped:
        remarks.append(
            f"{counted_noun(done.stripped, 'line names', 'lines name')} the recording with .wav; the ending was "
            "left out"
        )
    if done.state == "same":
        remarks.append("the board holds this submission already; nothing changed")
    if submitter_key(done.document) is None:
        remarks.append("not signed: `bench board key` makes a key, so that nobody else can add to this system")
    undeclared = [name for name, value in inputs.items() if value == UNDECLARED]
    if undeclared:
        words = f"undeclared, and shown as that: {', '.join(undeclared)}"
        remarks.append(f"{words} (`bench board submit --help` has an option for each)")
    return remarks


# --- bundles ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class WrittenBundle:
    """Runs of a board as one file.

    Attributes:
        file: The file.
        runs: The ids of its runs.
        cycle_sets: How many sets of judged cycles it holds.
        bytes: Its size.
        sha256: Its hash.
    """

    file: Path
    runs: Sequence[str]
    cycle_sets: int
    bytes: int
    sha256: str

    def to_json(self) -> dict[str, Any]:
        """The document that ``bench board export --format json`` prints."""
        return {**vars(self), "file": str(self.file)}


def export_runs(board: Board, file: Path, runs: Sequence[str] = ()) -> WrittenBundle:
    """Write runs as one file that another machine can import: results, predictions, provenance, hashes.

    Args:
        board: The board.
        file: The file; a bundle that is there is replaced.
        runs: Ids of runs, or beginnings of them; all by default.

    Raises:
        StoreError: If the board is empty or cannot be read, or the file cannot be written.
        ResultError: If there is no such run.
    """
    done = export_bundle(board.store, file, runs, written_by=__version__)
    return WrittenBundle(
        file=done.path,
        runs=list(done.run_ids),
        cycle_sets=done.cycle_sets,
        bytes=done.size,
        sha256=done.sha256,
    )


@dataclass(frozen=True, kw_only=True)
class MergedBundle:
    """What came of a bundle.

    Attributes:
        file: The bundle or folder.
        new: Ids of the runs that the board has now and had not.
        same: Ids of the runs that it had already.
        conflict: Runs that stand for another result here and were not taken: ``run_id`` and ``reason``.
        replaced: Ids of the runs whose result is the bundle's now.
        retracted: Ids of the runs that were taken back, and not brought back.
        not_official: Ids of the runs that were not judged on the official test cycles.
        log_entries: Entries of the log that are new here.
        refused: Entries of the log that are not obeyed here, in words.
    """

    file: Path
    new: Sequence[str]
    same: Sequence[str]
    conflict: Sequence[Mapping[str, str]]
    replaced: Sequence[str]
    retracted: Sequence[str]
    not_official: Sequence[str]
    log_entries: int
    refused: Sequence[str]

    @classmethod
    def of(cls, merged: MergeReport) -> MergedBundle:
        """What was merged, with the names of its JSON document."""
        names = ("new", "same", "replaced", "retracted", "not_official", "log_entries", "refused")
        conflicts = [{"run_id": conflict.run_id, "reason": conflict.reason} for conflict in merged.conflicts]
        return cls(file=merged.path, conflict=conflicts, **{name: getattr(merged, name) for name in names})

    def to_json(self) -> dict[str, Any]:
        """One bundle of the document that ``bench board import --format json`` prints."""
        document = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**document, "file": str(self.file)}


def import_bundles(
    board: Board, files: Sequence[Path], *, replace: bool = False, cache: Path | None = None
) -> list[MergedBundle]:
    """Merge bundles from other machines, or run folders, into a board; doing it twice changes nothing.

    Args:
        board: The board.
        files: The bundles, none of which is merged while another one is damaged; or folders: a run's, ``HOME/runs`` or
            a results folder; or ``hf:OWNER/NAME``, a run on the Hub.
        replace: Take their result where the board holds another.
        cache: The cache folder, for runs on the Hub.

    Raises:
        StoreError: If a bundle is damaged, a folder holds no run, or the board cannot be written.
        HubError: If a run cannot be fetched, or is not whole.
    """
    places = [_fetched(file, cache) if is_on_hub(str(file)) else file for file in files]
    if len(places) > 1:
        for place in places:
            if not place.is_dir():
                check_bundle(place)
    merged = [MergedBundle.of(_merged(place, board, replace)) for place in places]
    return [dataclass_replace(each, file=file) for each, file in zip(merged, files, strict=True)]


def _fetched(name: Path, cache: Path | None) -> Path:
    """The folder of a run on the Hub, which has to hold the labels that its numbers are recomputed with."""
    folder = fetched_run(str(name), cache_folder(cache))
    if not folder.cycles.is_file():
        raise StoreError(
            f"{name} was pushed without the labels of its tested cycles, so that no number of it can be recomputed.",
            "Ask its owner for a bundle (`bench board export`), or to push it again with --labels.",
        )
    return folder.path


def _merged(file: Path, board: Board, replace: bool) -> MergeReport:
    if file.is_dir():
        return import_folders(file, board.home, board.store, replace=replace)
    return import_bundle(file, board.home, board.store, replace=replace)
