"""Systems from outside: their predictions are checked against the official test cycles and stored like a run's.

Nobody's numbers are taken over: the predictions must answer every test cycle exactly once (PROTOCOL "What the board
does", 1), and the board computes the rest. What the submitter states (system, selection rule, seed) cannot be checked
and is kept as stated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from bench.core.datasets import DATASETS, FOUR_CLASSES
from bench.core.errors import ResultError
from bench.core.files import atomic_path, exclusive_lock, sweep
from bench.core.text import LARGEST_WHOLE, echoed, plain
from leaderboard.history.changes import record
from leaderboard.history.keys import SigningKey
from leaderboard.history.ownership import Owners
from leaderboard.history.signatures import changed_fields, sign, submitter_key
from leaderboard.metrics import LARGEST_COUNT, Metrics
from leaderboard.results.inputs import Inputs, check_inputs
from leaderboard.results.official_part import OfficialPart, part_metrics
from leaderboard.results.parquet import is_parquet
from leaderboard.results.predictions import (
    write_cycles,
    write_predictions,
)
from leaderboard.results.run_folder import RunFolder, predictions_file
from leaderboard.results.run_result import RunResult, score_parts, submission_id
from leaderboard.results.schema import RULES, SCHEMA, ResultDocument, Rule, TaskFields
from leaderboard.results.submission_checks import AcceptedPredictions, check_predictions
from leaderboard.results.submitted_predictions import read_submitted
from leaderboard.results.validation import validate
from leaderboard.store.result_rows import Imported
from leaderboard.store.store import Store
from leaderboard.tasks import task_document

UNSTATED = "unstated"
"""What stands in the fields of a spec that a submitter leaves open."""

LONGEST_LINE = 200
"""Characters of a stated text: as many as the board's columns take."""


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What a submitter states of a system; it cannot be checked and is shown as stated.

    Attributes:
        system: Name of the system on the board.
        selection: The rule by which the epoch was chosen.
        seed: Seed of the training; submissions that differ only in it are one system.
        epoch: Number of the chosen epoch, from 1.
        model: Architecture of the system.
        method: Training method of the system.
        pretrain: What the weights were pretrained on.
        paper: Citation of the paper that describes the system.
        url: Address where more can be read.
        notes: Anything else that a reader should know.
        inputs: What the system uses beside the sound of one cycle.
    """

    system: str
    selection: Rule
    seed: int = 1
    epoch: int | None = None
    model: str | None = None
    method: str | None = None
    pretrain: str | None = None
    paper: str | None = None
    url: str | None = None
    notes: str | None = None
    inputs: Inputs = field(default_factory=Inputs)


@dataclass(frozen=True)
class StoredSubmission:
    """A submission that was accepted and stored.

    Attributes:
        state: ``new``, ``same``, or ``changed`` where the same key stated something else of the predictions before.
        document: The result document of the submission.
        folder: The folder in which the submission lies.
        metrics: What :func:`leaderboard.results.official_part.part_metrics` gives, with the stated epoch.
        stripped: How many lines name the recording with the ending ``.wav``.
    """

    state: Imported
    document: Mapping[str, Any]
    folder: Path
    metrics: Mapping[str, dict[str, dict[str, Any]] | None]
    stripped: int = 0


def submit(
    path: Path,
    part: OfficialPart,
    statement: Statement,
    home: Path,
    store: Store,
    checked_by: Mapping[str, Any],
    key: SigningKey | None = None,
) -> StoredSubmission:
    """Check a file of predictions and put it on the board; doing it twice changes nothing.

    The submitted file, the predictions in the board's own form and the result document stay in
    ``<home>/submissions/<id>``, from which the board can be rebuilt.

    Args:
        path: The file of predictions, CSV or Parquet.
        part: The tested cycles that the predictions must answer.
        statement: What the submitter states of the system.
        home: The results folder.
        store: The board.
        checked_by: The code that checks the predictions, for the provenance.
        key: The submitter's key; without one the submission is marked as unsigned.

    Raises:
        RefusedError: If the predictions do not answer each test cycle exactly once.
        ResultError: If the file cannot be read, a statement is wrong, the system's name belongs to another key, the
            board holds other predictions of the system with the same seed, or the submission was taken back.
        StoreError: If the board or the folder cannot be written.
    """
    check_statement(statement)
    submitted = read_submitted(path, part.task.classes)
    accepted = check_predictions(submitted, part, path)
    metrics = part_metrics(part, accepted.scores)
    # To ask whose a name is and to store under it must be one step: two submissions at once would both find it free.
    with exclusive_lock(home / ".submissions.lock"):
        owners = Owners.of(store)
        statement = replace(statement, system=owners.history.original(statement.system))
        spec = _spec(part, statement)
        run_id = submission_id(spec, statement.selection, part.cycles, accepted.scores, accepted.scored)
        document = _document(run_id, path, part, statement, submitted.content, accepted, checked_by)
        sign(document, key)
        folder = RunFolder.of_submission(home, run_id)
        before = _before(owners, store, folder, run_id)
        _refuse_change(owners, document, before)
        # A board that cannot take the submission must be found out before its folder is written.
        scores: dict[str, NDArray[np.float64]] = {statement.selection: accepted.scores}
        store.rehearse([RunResult(validate(document, "The submission"), part.cycles, scores)])
        stored = _stored_unchanged(folder, document) or _write(folder, submitted.content, part, accepted, document)
        state = store.import_result(stored)
        _record(home, store, before, document, key)
    judged = {name: _at_epoch(values, statement) if values else None for name, values in metrics.items()}
    return StoredSubmission(state, dict(stored.document), folder.path, judged, submitted.stripped)


def _record(
    home: Path, store: Store, before: Mapping[str, Any] | None, document: Mapping[str, Any], key: SigningKey | None
) -> None:
    """Put a new submission, or what is stated otherwise of one, into the log."""
    run_id, system = document["run_id"], document["spec"]["system"]
    if before is None:
        record(home, store, "submit", run_id, {"system": system}, key)
    elif told := changed_fields(before, document):
        record(home, store, "restate", run_id, {"system": system, "changes": told}, key)


def _before(owners: Owners, store: Store, folder: RunFolder, run_id: str) -> Mapping[str, Any] | None:
    """The document of this submission that is there already, on the board or in its folder.

    Raises:
        ResultError: If it was taken back.
    """
    retracted = owners.history.retracted.get(run_id)
    if retracted is not None:
        raise ResultError(
            f"The submission {run_id} was retracted on {retracted.document['at'][:10]}: "
            f"{echoed(retracted.details['reason'], 200)}.",
            "`bench board retract RUN --undo --reason TEXT` takes that back.",
        )
    if owners.holds(run_id):
        return store.run(run_id)
    return folder.read().document if folder.has_result() else None


def _refuse_change(owners: Owners, document: Mapping[str, Any], before: Mapping[str, Any] | None) -> None:
    """Refuse a submission under a name that belongs to somebody else, and a change by anybody but its owner."""
    if before is not None and not changed_fields(before, document):
        return
    reason = owners.refusal_reason(document)
    if reason is None and before is not None and submitter_key(before) is None:
        reason = "this submission is on the board with another statement, and without a key nobody can change it"
    if reason is not None:
        raise ResultError(
            f"Not accepted: {reason}.",
            "Submit under another --system or --seed, or sign with the system's key (BENCH_KEY, `bench board key`).",
        )


def check_statement(statement: Statement) -> None:
    """Refuse a statement that the board cannot hold or show; raises ResultError."""
    for name, value in vars(statement).items():
        if isinstance(value, str) and not is_line(value):
            raise ResultError(
                f"--{name} must be one line of 1 to {LONGEST_LINE} characters, not '{echoed(value, 40)}'."
            )
    if not 0 <= statement.seed <= LARGEST_WHOLE:
        raise ResultError(f"Invalid value for '--seed': {echoed(statement.seed)} is not from 0 to {LARGEST_WHOLE}.")
    if statement.epoch is not None and not 1 <= statement.epoch <= LARGEST_COUNT:
        raise ResultError(f"Invalid value for '--epoch': {echoed(statement.epoch)} is not from 1 to {LARGEST_COUNT}.")
    check_inputs(statement.inputs.declared(), "the statement")
    if statement.selection not in RULES:
        raise ResultError(f"--selection is '{statement.selection}', but must be {', '.join(RULES)}.")
    if statement.url is not None and "@" in statement.url.partition("://")[2].partition("/")[0]:
        raise ResultError("--url holds a user name or password.", "Give an address that everybody may see.")


def is_line(text: str) -> bool:
    """Whether a text is one line that can be shown as it is: spaces of any kind and joined emoji are part of names."""
    return bool(text.strip()) and len(text) <= LONGEST_LINE and "?" not in plain(text.replace("?", ""))


def _document(
    run_id: str,
    path: Path,
    part: OfficialPart,
    statement: Statement,
    content: bytes,
    accepted: AcceptedPredictions,
    checked_by: Mapping[str, Any],
) -> ResultDocument:
    rule, task = statement.selection, part.task
    judged = score_parts(part.cycles, accepted.scores, task)
    said = {name: getattr(statement, name) for name in ("paper", "url", "notes")}
    document = ResultDocument(
        schema=SCHEMA,
        kind="submission",
        run_id=run_id,
        status="finished",
        error=None,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        spec=_spec(part, statement),
        execution={},
        profile="submission",
        partial=part.partial,
        metrics={**dict.fromkeys(RULES), rule: _at_epoch(judged[task.main.id], statement)},
        epochs=[],
        predictions={**dict.fromkeys(RULES), rule: predictions_file(rule)},
        provenance={"checked_by": dict(checked_by), "cycles_from": part.source},
        seconds=None,
        cycles_per_second=None,
        judged_set=part.cycles.hash,
        patients_on_both_sides=sorted(part.shared_patients),
        submission={
            "selection": rule,
            "scores": accepted.scored,
            "file": "submitted.parquet" if is_parquet(content) else "submitted.csv",
            "name": plain(path.name),
            "sha256": hashlib.sha256(content).hexdigest(),
            "inputs": statement.inputs.declared(),
            **said,
        },
    )
    told = task_document(DATASETS.card(part.dataset), task)
    if told is not None:
        document["task"] = cast(TaskFields, told)
    if task.other_parts:
        others = [tested.id for tested in task.other_parts]
        document["other_parts"] = {name: {rule: cast(Any, _at_epoch(judged[name], statement))} for name in others}
    return document


def _at_epoch(metrics: Mapping[str, Metrics], statement: Statement) -> dict[str, Any]:
    return {judged: {**values, "epoch": statement.epoch} for judged, values in metrics.items()}


def _spec(part: OfficialPart, statement: Statement) -> dict[str, Any]:
    """The spec of a submission, by which the board tells systems apart; as with runs, it holds no selection rule."""
    return {
        "system": statement.system,
        "model": statement.model or UNSTATED,
        "method": statement.method or UNSTATED,
        "pretrain": statement.pretrain or UNSTATED,
        "dataset": part.dataset,
        **({} if part.task.id == FOUR_CLASSES.id else {"task": part.task.id}),
        "data_fingerprint": part.cycles.hash,
        "partial": part.partial,
        "split": "official",
        "seed": statement.seed,
        "precision": UNSTATED,
    }


def _stored_unchanged(folder: RunFolder, document: Mapping[str, Any]) -> RunResult | None:
    """Give the submission that a folder holds already; when it was made and from which file does not matter."""
    found = folder.read() if folder.has_result() else None
    return None if found is None or changed_fields(found.document, document) else found


def _write(
    folder: RunFolder, content: bytes, part: OfficialPart, accepted: AcceptedPredictions, document: Mapping[str, Any]
) -> RunResult:
    submission = document["submission"]
    sweep(folder.path)
    with atomic_path(folder.path / submission["file"]) as copy:
        copy.write_bytes(content)
    write_cycles(folder.cycles, part.cycles)
    predictions = folder.predictions(submission["selection"])
    write_predictions(predictions, part.cycles.keys, accepted.scores, part.task.classes)
    return folder.write(document)
