"""Transfers: a trained run, judged on the tested parts of another task or data set than its own.

Two tasks rarely have the same classes, but each says of its classes whether they are normal or abnormal
(``TaskCard.shared``). Over these two words a run can be judged anywhere:

- On the side of the model the probability of ``abnormal`` is the sum over the abnormal classes that it was trained on.
  The probability of a class that is neither normal nor abnormal is left out, and the others are divided by their sum.
- On the judged side cycles of a class that is neither are left out.
- A hit is an abnormal cycle whose probability of ``abnormal`` is above that of ``normal``.

A transfer is no result of a system on a board: nothing ranks it, combines it, or counts it as a run. It lies in a
folder of its own, with the probabilities of every tested cycle, from which each number is computed anew when it is
read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import MaxLen
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from bench.core.datasets import ANY_ABNORMAL, DATASETS, TaskCard, TestPart
from bench.core.documents import check_values, read_document
from bench.core.errors import ResultError
from bench.core.files import write_json
from bench.core.paths import listed
from bench.core.text import counted_noun
from leaderboard.metrics import Metrics, score_cycles
from leaderboard.results.predictions import (
    CycleSet,
    align,
    read_cycles,
    read_predictions,
    write_cycles,
    write_predictions,
)
from leaderboard.results.run_folder import CYCLES_FILE
from leaderboard.results.schema import STRICT, Objects, Rule, RunId, SpecFields, TaskFields
from leaderboard.results.validation import TOLERANCE, check_form, check_schema, run_id_of
from leaderboard.tasks import described_task, task_from

SHARED_CLASSES = ("normal", "abnormal")
"""The classes that all tasks share, and the columns of a transfer's predictions."""

KIND = "transfer"
"""What a transfer says that it is, so that nothing takes it for the result of a run."""

TRANSFERS_FOLDER = "transfers"
"""Where, below the results folder, the folders of transfers are."""

DOCUMENT = "transfer.json"

AGAIN = "Judge the run there again: bench evaluate RUN --rerun."

Probabilities = NDArray[np.float64]


@with_config(STRICT)
class JudgedOn(TypedDict):
    """What a transfer was judged on."""

    dataset: Annotated[str, MaxLen(40)]
    """Id of the data set."""
    task: TaskFields
    """What is labelled there."""
    data_fingerprint: Annotated[str, MaxLen(64)]
    """Hash of the recordings and annotations."""
    partial: Annotated[str | None, MaxLen(80)]
    """How much of the data set there was, where not all of it."""
    judged_set: Annotated[str, MaxLen(64)]
    """Hash of the tested cycles, those that are left out included."""


@with_config(STRICT)
class TransferDocument(TypedDict):
    """The content of ``transfer.json``."""

    schema: int
    """Version of the document's form: 1."""
    kind: Literal["transfer"]
    """What it is."""
    transfer_id: RunId
    """Id of the transfer: a hash of run, rule, data and task."""
    run_id: RunId
    """Id of the run."""
    rule: Rule
    """Selection rule whose weights were judged."""
    created: Annotated[str, MaxLen(40)]
    """Time at which it was made: UTC in ISO 8601."""
    spec: SpecFields
    """Identity fields of the run's spec."""
    trained_on: TaskFields
    """Task that the run was trained on."""
    judged_on: JudgedOn
    """Task that it was judged on."""
    metrics: Annotated[dict[str, Metrics], Field(min_length=1)]
    """Metrics of the two shared classes, by tested part."""
    provenance: Objects
    """Code, packages and machine."""


@dataclass(frozen=True, eq=False)
class Transfer:
    """A transfer as it was read and checked.

    Attributes:
        document: Its ``transfer.json``.
        cycles: The tested cycles with the labels of the judged task.
        probabilities: (n, 2) of normal and abnormal, in the order of ``cycles``.
    """

    document: TransferDocument
    cycles: CycleSet
    probabilities: Probabilities

    @property
    def id(self) -> str:
        """Its id, 16 hexadecimal characters."""
        return self.document["transfer_id"]

    @property
    def task(self) -> TaskCard:
        """The task that it was judged on, with all its classes."""
        return task_from(self.document["judged_on"]["task"])

    @property
    def left_out(self) -> int:
        """Number of tested cycles that are neither normal nor abnormal, and that no number is of."""
        return int((shared_labels(self.cycles, self.task) < 0).sum())


# --- the classes that tasks share -------------------------------------------------------------------------------


def shared_task(task: TaskCard) -> TaskCard:
    """The task of telling normal from abnormal on the parts of another task, judged by its law of the Score."""
    return replace(task, classes=SHARED_CLASSES, shared=(), counts={}, judged_sets=frozenset(), recipes={})


def shared_probabilities(scores: Probabilities, task: TaskCard) -> Probabilities:
    """Probabilities of normal and abnormal from those of a task's classes.

    Args:
        scores: (n, k) probabilities of the classes that a model was trained on.
        task: The task that it was trained on; a class that is neither normal nor abnormal is left out.

    Returns:
        (n, 2), each row of sum 1.

    Raises:
        ResultError: If a cycle has no probability of either.
    """
    both = np.stack([scores[:, 0], scores[:, list(task.abnormal)].sum(axis=1)], axis=1)
    total = both.sum(axis=1, keepdims=True)
    empty = np.flatnonzero(~(total[:, 0] > 0))
    if empty.size:
        raise ResultError(
            f"The model gives {counted_noun(empty.size, 'cycle')} no probability of normal or abnormal at all."
        )
    found: Probabilities = both / total
    return found


def shared_labels(cycles: CycleSet, task: TaskCard) -> NDArray[np.int64]:
    """(n,) 0 for normal cycles, 1 for abnormal ones, -1 for those that are neither and left out."""
    words = {"normal": 0, "abnormal": 1, None: -1}
    by_class = np.array([words[word] for word in task.shared], dtype=np.int64)
    found: NDArray[np.int64] = by_class[np.asarray(cycles.labels, dtype=np.int64)]
    return found


def transfer_metrics(cycles: CycleSet, probabilities: Probabilities, task: TaskCard) -> dict[str, Metrics]:
    """Judge each tested part by itself.

    Args:
        cycles: The tested cycles of all parts, with the labels of the judged task.
        probabilities: (n, 2) of normal and abnormal, in their order.
        task: The judged task.

    Returns:
        Metrics by part.

    Raises:
        ResultError: If a part has no normal or no abnormal cycle.
    """
    labels, judged = shared_labels(cycles, task), shared_task(task)
    found = {}
    for part in task.parts:
        rows = _judged_rows(cycles, labels, part)
        _check_holds_both(part, labels[rows])
        found[part.id] = score_cycles(labels[rows], probabilities[rows], judged)[ANY_ABNORMAL]
    return found


def judged_cycles(transfer: Transfer, part: TestPart) -> CycleSet:
    """The cycles of a tested part that numbers are of, labelled 0 normal and 1 abnormal."""
    labels = shared_labels(transfer.cycles, transfer.task)
    found = replace(transfer.cycles, labels=tuple(labels.tolist()), parts=())
    return found.subset(_judged_rows(transfer.cycles, labels, part))


def _judged_rows(cycles: CycleSet, labels: NDArray[np.int64], part: TestPart) -> list[int]:
    return [place for place in cycles.places_of(part.id) if labels[place] >= 0]


def _check_holds_both(part: TestPart, labels: NDArray[np.int64]) -> None:
    for label, word in enumerate(SHARED_CLASSES):
        if label not in labels:
            raise ResultError(
                f"The {part.title} holds no {word} cycle, so that nothing can be judged on it.",
                "Use the complete set, or another task.",
            )


# --- documents and folders --------------------------------------------------------------------------------------


def transfer_id(run_id: str, rule: str, dataset: str, task: str, data_fingerprint: str) -> str:
    """The id of a transfer: 16 hexadecimal characters, the same for the same weights on the same data and task."""
    text = json.dumps([run_id, rule, dataset, task, data_fingerprint])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class TransferFolder:
    """The folder of one transfer; nothing else knows the names in it.

    Attributes:
        path: The folder itself.
    """

    path: Path

    @classmethod
    def of(cls, home: Path, name: str) -> TransferFolder:
        """The folder of a transfer in a results folder: ``<home>/transfers/<transfer id>``."""
        return cls(home / TRANSFERS_FOLDER / name)

    @property
    def document(self) -> Path:
        """The file ``transfer.json``, which is written last: where it is, the others are whole."""
        return self.path / DOCUMENT

    @property
    def cycles(self) -> Path:
        """The file ``test-cycles.csv``: the tested cycles with class, patient, device and part."""
        return self.path / CYCLES_FILE

    @property
    def predictions(self) -> Path:
        """The file ``predictions.csv``: the probabilities of normal and abnormal of every tested cycle."""
        return self.path / "predictions.csv"

    def write(self, transfer: Transfer) -> None:
        """Check a transfer and write its files, the document last.

        Raises:
            ResultError: If it would be refused by :meth:`read`.
            StoreError: If a file cannot be written.
        """
        _check(transfer, str(self.document))
        self.document.unlink(missing_ok=True)
        write_cycles(self.cycles, transfer.cycles)
        write_predictions(self.predictions, transfer.cycles.keys, transfer.probabilities, SHARED_CLASSES)
        write_json(self.document, transfer.document)

    def read(self) -> Transfer:
        """Read the transfer and recompute its metrics from its predictions.

        Raises:
            ResultError: If a file is missing or broken, or a number is not that of the predictions; the field and both
                numbers are named.
        """
        where = str(self.document)
        document = _checked_form(read_document(self.document), where)
        cycles = read_cycles(self.cycles, document["judged_on"]["task"]["classes"])
        answers = align(read_predictions(self.predictions, SHARED_CLASSES), cycles, str(self.predictions))
        if answers.scores is None:
            raise ResultError(f"{self.predictions} holds chosen classes only, but a transfer stores probabilities.")
        found = Transfer(document, cycles, answers.scores)
        _check(found, where)
        return found


def read_transfers(home: Path) -> list[Transfer]:
    """All transfers of a results folder in the order of their ids; raises ResultError as :meth:`TransferFolder.read`.

    A folder without a document is of a transfer that was stopped, and no transfer yet.
    """
    return [TransferFolder(path.parent).read() for path in listed(home / TRANSFERS_FOLDER, f"*/{DOCUMENT}")]


@cache
def _form() -> TypeAdapter[TransferDocument]:
    return TypeAdapter(TransferDocument)


def _checked_form(document: Any, where: str) -> TransferDocument:
    """A document that has the form of a transfer, and whose ids follow from what they are of."""
    if not isinstance(document, dict):
        raise ResultError(f"{where} holds no transfer.", AGAIN)
    check_values(document, where)
    check_schema(document.get("schema"), where)
    check_form(_form(), document, where)
    found: TransferDocument = document  # type: ignore[assignment]
    there = found["judged_on"]
    identity = (found["run_id"], found["rule"], there["dataset"], there["task"]["id"], there["data_fingerprint"])
    _compare("run_id", found["run_id"], run_id_of(found["spec"]), where)
    _compare("transfer_id", found["transfer_id"], transfer_id(*identity), where)
    for name, told, dataset in (
        ("trained_on", found["trained_on"], str(found["spec"]["dataset"])),
        ("judged_on.task", there["task"], there["dataset"]),
    ):
        _check_card(name, told, dataset, where)
    return found


def _check_card(name: str, told: TaskFields, dataset: str, where: str) -> None:
    """Check what a transfer says of a task against the card of its data set, where that is registered here."""
    task_from(told)
    if dataset not in DATASETS:
        return
    card = DATASETS.card(dataset)
    for task in (task for task in card.tasks if task.id == told["id"]):
        wanted = described_task(card.title, task, simulated=card.simulated)
        for field in ("simulated", "classes", "shared", "score", "parts"):
            _compare(f"{name}.{field}", told[field], wanted[field], where)


def _check(transfer: Transfer, where: str) -> None:
    """Check that a transfer's document follows from its predictions."""
    document = _checked_form(transfer.document, where)
    task, cycles = transfer.task, transfer.cycles
    wanted = {part.id for part in task.parts} if task.other_parts else set()
    _compare("the parts of the cycles", sorted(set(cycles.parts)), sorted(wanted), where)
    _compare("judged_on.judged_set", document["judged_on"]["judged_set"], cycles.hash, where)
    computed = transfer_metrics(cycles, transfer.probabilities, task)
    _compare("the parts of the metrics", sorted(document["metrics"]), sorted(computed), where)
    for part, metrics in computed.items():
        said: Mapping[str, Any] = document["metrics"][part]
        for name, value in metrics.items():
            _compare(f"metrics.{part}.{name}", said.get(name), value, where)


def _compare(name: str, said: Any, found: Any, where: str) -> None:
    """Raise ResultError unless a value is what it must be, numbers but for their rounding."""
    is_number = isinstance(said, float) and isinstance(found, float)
    if said != found and not (is_number and abs(said - found) <= TOLERANCE):
        raise ResultError(f"{where}: {name} is {said!r}, but must be {found!r}.", AGAIN)
