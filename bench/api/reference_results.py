"""Reference results: real runs of this project whose predictions come with the program, judged on one's own data.

No audio and no labels are shipped, since they belong to the owners of the data sets: whoever has the annotation files
has the rows, recomputed.
"""

from __future__ import annotations

import lzma
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.api.boards import Board
from bench.api.official_cycles import official_test_cycles
from bench.core.datasets import DATASETS, DatasetCard
from bench.core.documents import read_document
from bench.core.errors import SpecError
from bench.core.files import temporary_folder
from bench.core.provenance import code_version
from leaderboard.results import submissions
from leaderboard.results.inputs import Inputs
from leaderboard.results.submissions import Statement


@dataclass(frozen=True, kw_only=True)
class ReferenceResult:
    """A run whose predictions are shipped.

    Attributes:
        dataset: Id of the data set.
        task: Id of its task.
        system: Name on the board, which says that it is a reference result of this project.
        model: Model id.
        method: Method id.
        pretrain: What it started from.
        selection: Selection rule that chose the epoch.
        seed: Its seed.
        epoch: The chosen epoch, from 1.
        run_id: Id of the run that was trained.
        notes: What a reader of the row should know.
        inputs: What it uses beside the sound of one cycle (:class:`leaderboard.results.inputs.Inputs`).
        file: The compressed predictions.
    """

    dataset: str
    task: str
    system: str
    model: str
    method: str
    pretrain: str
    selection: Any
    seed: int
    epoch: int
    run_id: str
    notes: str
    inputs: Mapping[str, Any]
    file: Path

    def to_json(self) -> dict[str, Any]:
        """One line of the document that ``bench board reference --format json`` prints."""
        return {**vars(self), "file": self.file.name}

    def statement(self) -> Statement:
        """What is stated of it on the board."""
        return Statement(
            system=self.system,
            selection=self.selection,
            seed=self.seed,
            epoch=self.epoch,
            model=self.model,
            method=self.method,
            pretrain=self.pretrain,
            notes=self.notes,
            inputs=Inputs(**self.inputs),
        )


@dataclass(frozen=True, kw_only=True)
class EnteredReference:
    """A reference result on a board.

    Attributes:
        result: What is shipped.
        submission: Id of its row.
        state: ``new``, or ``same`` where the board held it already.
        score: Score by tested part, percent.
    """

    result: ReferenceResult
    submission: str
    state: str
    score: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """One line of the document that ``bench board reference ID --format json`` prints."""
        return {
            **self.result.to_json(),
            "submission": self.submission,
            "state": self.state,
            "score": self.score,
        }


def reference_results() -> list[ReferenceResult]:
    """All reference results that come with this program."""
    return [found for entry in DATASETS if entry.card.reference for found in _results_of(entry.card)]


def _results_of(card: DatasetCard) -> list[ReferenceResult]:
    assert card.reference is not None
    document = read_document(card.reference)
    return [
        ReferenceResult(
            **{
                **run,
                "dataset": card.id,
                "file": card.reference.with_name(run["file"]),
                "inputs": document["inputs"],
                "notes": document["notes"].format(run_id=run["run_id"]),
            }
        )
        for run in document["runs"]
    ]


def enter_reference_results(
    board: Board, dataset: str, *, data: str | None = None, cache: Path | None = None
) -> list[EnteredReference]:
    """Put the reference results of a data set on a board, judged on the annotations that are here.

    They are marked by their name, and unsigned; doing it twice changes nothing.

    Args:
        board: The board.
        dataset: Id of the data set.
        data: The folder with its annotation files (default: the data set's own); no audio is needed.
        cache: The cache folder.

    Raises:
        RegistryError: If there is no such data set.
        SpecError: If it has no reference results.
        DataError: If its test cycles are not known here.
        StoreError: If the board cannot be written.
    """
    card = DATASETS.card(dataset)
    if card.reference is None:
        known = [entry.id for entry in DATASETS if entry.card.reference]
        raise SpecError(
            f"No reference results of {card.title} come with this program; printed ones: `bench report {dataset}`.",
            f"There are some of: {', '.join(known)}.",
        )
    results = _results_of(card)
    with temporary_folder("bench-reference") as work:
        return [
            entered
            for task in dict.fromkeys(result.task for result in results)
            for entered in _entered(board, [r for r in results if r.task == task], data, cache, work)
        ]


def _entered(
    board: Board, results: Sequence[ReferenceResult], data: str | None, cache: Path | None, work: Path
) -> list[EnteredReference]:
    """Enter the results of one task."""
    first = results[0]
    part = official_test_cycles(board, data, cache, dataset=first.dataset, task=first.task)
    entered = []
    for result in results:
        plain_file = work / result.file.name.removesuffix(".xz")
        plain_file.write_bytes(lzma.decompress(result.file.read_bytes()))
        # They are this project's, not the user's: never signed with the user's key.
        done = submissions.submit(plain_file, part, result.statement(), board.home, board.store, code_version())
        scores = {name: m[part.task.strict]["score"] for name, m in done.metrics.items() if m}
        entered.append(
            EnteredReference(result=result, submission=done.document["run_id"], state=done.state, score=scores)
        )
    return entered
