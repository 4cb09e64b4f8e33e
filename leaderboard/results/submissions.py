"""Systems from outside: their predictions are checked against the official test cycles and stored like a run's.

Nobody's numbers are taken over: the predictions must answer every test cycle exactly once (PROTOCOL "What the board
does", 1), and the board computes the rest. What the submitter states (system, selection rule, seed) cannot be checked
and is kept as stated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.documents import read_bytes
from bench.core.errors import ResultError
from bench.core.files import atomic_path, exclusive_lock, sweep
from bench.core.text import LARGEST_WHOLE, echoed, plain
from leaderboard.history.changes import record
from leaderboard.history.claims import changes, key_of, sign
from leaderboard.history.keys import Key as SigningKey
from leaderboard.history.ownership import Owners
from leaderboard.metrics import CLASSES, LARGEST_COUNT, Metrics, score_cycles
from leaderboard.results.inputs import Inputs, check_inputs
from leaderboard.results.parquet import is_parquet
from leaderboard.results.predictions import (
    CHOSEN,
    SCORED,
    CycleSet,
    Key,
    class_of,
    parse_rows,
    read_key,
    read_number,
    write_cycles,
    write_predictions,
)
from leaderboard.results.run_folder import RunFolder, predictions_file
from leaderboard.results.run_result import RunResult, submission_id
from leaderboard.results.schema import RULES, SCHEMA, ResultDocument, Rule
from leaderboard.results.validation import validate
from leaderboard.store.result_rows import Imported
from leaderboard.store.store import Store

UNSTATED = "unstated"
"""What stands in the fields of a spec that a submitter leaves open."""

LARGEST_FILE = 64 * 2**20
"""Bytes; 2,756 cycles take less than one of 64 parts of it, so that a larger file is another one."""

LONGEST_LINE = 200
"""Characters of a stated text: as many as the board's columns take."""

SHOWN = 3
"""Cycles that a refusal names; its ``difference`` holds all."""


@dataclass(frozen=True)
class OfficialPart:
    """The test cycles that a submission must answer.

    Attributes:
        dataset: ``icbhi``, or ``demo`` for a simulated set.
        partial: How much of the data set it is, where not all.
        cycles: The test cycles.
        train_patients: Patients with recordings in the training part.
        source: Where this is known from, for people.
    """

    dataset: str
    partial: str | None
    cycles: CycleSet
    train_patients: frozenset[str]
    source: str

    @property
    def shared_patients(self) -> frozenset[str]:
        """Patients on both sides of the split: 156 and 218 in ICBHI."""
        return self.train_patients & set(self.cycles.patients)


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What a submitter says of a system.

    Attributes:
        system: Its name on the board.
        selection: How the epoch was chosen.
        seed: Seed of the training; submissions that differ only in it are one system.
        epoch: The epoch, from 1.
        model: Architecture.
        method: Training method.
        pretrain: Pretraining.
        paper: Citation.
        url: Where to read on.
        notes: Anything else.
        inputs: What it uses beside the sound of one cycle.
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
class Difference:
    """What keeps predictions from being accepted; all empty where nothing does.

    Attributes:
        missing: Test cycles without an answer.
        extra: Answers to cycles that are no test cycles.
        training: How many of those belong to training patients.
        twice: Cycles that are answered more than once.
        not_finite: Cycles with a score that is not finite.
        wrong_classes: Cycles whose class does not exist, with the text that stands there.
        shifted: Whether the file counts cycles from 1.
    """

    missing: tuple[Key, ...] = ()
    extra: tuple[Key, ...] = ()
    training: int = 0
    twice: tuple[Key, ...] = ()
    not_finite: tuple[Key, ...] = ()
    wrong_classes: tuple[tuple[Key, str], ...] = ()
    shifted: bool = False

    def __bool__(self) -> bool:
        return any((self.missing, self.extra, self.twice, self.not_finite, self.wrong_classes))


class RefusedError(ResultError):
    """Predictions that are not the official test cycles, each exactly once, with an answer that can be judged."""

    def __init__(self, message: str, hint: str | None = None, difference: Difference | None = None) -> None:
        super().__init__(message, hint)
        self.difference = difference or Difference()


@dataclass(frozen=True, eq=False)
class Answers:
    """A submitted file as read, sound or not, in its own order.

    Attributes:
        content: The file itself.
        keys: (n) cycles; one may stand twice.
        scores: (n, 4) scores, finite or not; None where the file holds classes.
        words: (n) texts that name classes; None where the file holds scores.
        stripped: How many lines name the recording with the ending ``.wav``.
    """

    content: bytes
    keys: tuple[Key, ...]
    scores: NDArray[np.float64] | None
    words: tuple[str, ...] | None
    stripped: int = 0


@dataclass(frozen=True, eq=False)
class Checked:
    """Answers that passed: one for every test cycle, in the order of the cycles.

    Attributes:
        scores: (n, 4) scores; where the file holds classes, 1 for the chosen class and 0 for the others.
        scored: Whether the file holds scores.
    """

    scores: NDArray[np.float64]
    scored: bool


@dataclass(frozen=True)
class Submitted:
    """A stored submission.

    Attributes:
        state: ``new``, ``same``, or ``changed`` where the same key stated something else of them before.
        document: Its result document.
        folder: Its folder.
        metrics: By part (``official``, ``patient-disjoint``), then by judged; None where a part cannot be judged.
        stripped: How many lines name the recording with the ending ``.wav``.
    """

    state: Imported
    document: Mapping[str, Any]
    folder: Path
    metrics: Mapping[str, dict[str, dict[str, Any]] | None]
    stripped: int = 0


# --- reading and checking ---------------------------------------------------------------------------------------


def read_answers(path: Path) -> Answers:
    """Read a submitted file, CSV or Parquet; its cycles and values are judged by :func:`check`.

    Recordings may be written with the ending ``.wav``, which is left out.

    Raises:
        ResultError: If it cannot be read, has other columns, or a line that names no cycle or number.
    """
    return parse_answers(read_bytes(path, LARGEST_FILE, "the file of predictions of a test part"), str(path))


def parse_answers(content: bytes, where: str) -> Answers:
    """Read submitted predictions; raises as :func:`read_answers` does.

    Args:
        content: Of a CSV or Parquet file.
        where: Its name, for messages.
    """
    keys: list[Key] = []
    values: list[list[float]] = []
    words: list[str] = []
    stripped = 0
    for line, row in parse_rows(content, where, (SCORED, CHOSEN)):
        recording, cycle = read_key(row, where, line)
        bare = recording[:-4] if recording.lower().endswith(".wav") else recording
        stripped += bare != recording
        keys.append((bare, cycle))
        if "predicted" in row:
            words.append(row["predicted"])
        else:
            values.append([read_number(row[name], name, where, line) for name in CLASSES])
    scores = np.asarray(values, dtype=np.float64) if values else None
    return Answers(content, tuple(keys), scores, None if values else tuple(words), stripped)


def difference(answers: Answers, part: OfficialPart) -> Difference:
    """What keeps answers from being those of the test part."""
    seen: dict[Key, int] = {}
    for key in answers.keys:
        seen[key] = seen.get(key, 0) + 1
    wanted = set(part.cycles.keys)
    extra = tuple(sorted(seen.keys() - wanted))
    return Difference(
        missing=tuple(key for key in sorted(wanted) if key not in seen),
        extra=extra,
        training=sum(patient_of(key) in part.train_patients for key in extra),
        twice=tuple(key for key, count in seen.items() if count > 1),
        not_finite=_not_finite(answers),
        wrong_classes=_wrong_classes(answers),
        shifted=bool(extra) and {(recording, cycle - 1) for recording, cycle in seen} == wanted,
    )


def patient_of(key: Key) -> str:
    """The patient of a cycle: what its recording's name begins with."""
    return key[0].partition("_")[0]


def _not_finite(answers: Answers) -> tuple[Key, ...]:
    if answers.scores is None:
        return ()
    return tuple(answers.keys[row] for row in np.flatnonzero(~np.isfinite(answers.scores).all(axis=1)))


def _wrong_classes(answers: Answers) -> tuple[tuple[Key, str], ...]:
    pairs = zip(answers.keys, answers.words or (), strict=False)
    return tuple((key, word) for key, word in pairs if class_of(word) is None)


def check(answers: Answers, part: OfficialPart, path: Path | str) -> Checked:
    """Accept answers that are exactly the test cycles', or say what is wrong with them.

    Args:
        answers: What was read.
        part: What must be answered.
        path: Their file, or what else they are, for the message.

    Raises:
        RefusedError: With the exact difference.
    """
    found = difference(answers, part)
    if found:
        raise RefusedError(_sentence(found, answers, part, path), _advice(found, part), found)
    place = {key: row for row, key in enumerate(answers.keys)}
    order = [place[key] for key in part.cycles.keys]
    if answers.scores is not None:
        return Checked(answers.scores[order], scored=True)
    chosen = np.asarray([class_of(word) for word in answers.words or ()], dtype=np.int64)
    return Checked(np.eye(len(CLASSES))[chosen[order]], scored=False)


def _sentence(found: Difference, answers: Answers, part: OfficialPart, path: Path | str) -> str:
    wrong = [f"'{echoed(word)}' for {_name(key)}" for key, word in found.wrong_classes]
    parts = [
        ("lacks {}", _counted(found.missing, "test cycle")),
        ("holds {}", _counted(found.extra, "other cycle")),
        ("answers {} more than once", _counted(found.twice, "cycle")),
        ("has scores that are not finite for {}", _counted(found.not_finite, "cycle")),
        (f"names classes other than 0 to 3 or {', '.join(CLASSES)} for {{}}", _listed(wrong, "cycle")),
    ]
    said = [words.format(what) for words, what in parts if what]
    sentence = f"{path} {' and '.join(filter(None, [', '.join(said[:-1]), said[-1]]))}"
    if found.shifted:
        return f"{sentence}: it counts the cycles of a recording from 1."
    if found.training and found.missing:
        return (
            f"{sentence}: {found.training:,} of your {len(answers.keys):,} cycles belong to training patients: "
            "this looks like a random split."
        )
    if found.training:
        return f"{sentence}: {found.training:,} of your {len(answers.keys):,} cycles belong to training patients."
    return f"{sentence}; the {len(part.cycles):,} test cycles must each be answered once."


def _advice(found: Difference, part: OfficialPart) -> str:
    if found.shifted:
        return "Count from 0: subtract 1 from the column cycle."
    if found.training and found.missing:
        return "Train on the official training part and predict the official test part; nothing else can be compared."
    if found.training:
        return "Submit the predictions of the test part alone."
    if part.partial is not None:
        return f"The cycles are those of {part.source}; without --allow-partial the whole set is asked for."
    return (
        "One line for each cycle: recording (file name without ending), cycle (from 0 in the annotation file), then "
        "normal,crackle,wheeze,both or predicted."
    )


def _counted(keys: Iterable[Key], noun: str) -> str:
    return _listed([_name(key) for key in keys], noun)


def _listed(names: Sequence[str], noun: str) -> str:
    if not names:
        return ""
    shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    return f"{len(names):,} {noun}{'s' * (len(names) > 1)} ({shown})"


def _name(key: Key) -> str:
    return f"{echoed(key[0])} cycle {key[1]}"


# --- judging ----------------------------------------------------------------------------------------------------


def judge(part: OfficialPart, scores: NDArray[np.float64]) -> dict[str, dict[str, Metrics] | None]:
    """Metrics on the official test part, and on it without the patients that have training recordings too.

    Args:
        part: The test cycles.
        scores: (n, 4) scores in their order.

    Returns:
        Metrics by part, then by judged; None for a part without a normal or an abnormal cycle.

    Raises:
        ResultError: If that is so of the official part.
    """
    official = score_cycles(part.cycles.labels, scores)
    shared = part.shared_patients
    kept = [i for i, patient in enumerate(part.cycles.patients) if patient not in shared]
    labels = [part.cycles.labels[i] for i in kept]
    sound = 0 in labels and any(labels)
    return {"official": official, "patient-disjoint": score_cycles(labels, scores[kept]) if sound else None}


# --- storing ----------------------------------------------------------------------------------------------------


def submit(
    path: Path,
    part: OfficialPart,
    statement: Statement,
    home: Path,
    store: Store,
    checked_by: Mapping[str, Any],
    key: SigningKey | None = None,
) -> Submitted:
    """Check a file of predictions and put it on the board; doing it twice changes nothing.

    The submitted file, the predictions in the board's own form and the result document stay in
    ``<home>/submissions/<id>``, from which the board can be rebuilt.

    Args:
        path: The file, CSV or Parquet.
        part: What it must answer.
        statement: What is said of the system.
        home: The results folder.
        store: The board.
        checked_by: The code that checks it, for the provenance.
        key: The submitter's; without one the submission is marked as unsigned.

    Raises:
        RefusedError: If it is not exactly the test cycles'.
        ResultError: If it cannot be read, a statement is wrong, the system's name belongs to another key, the board
            holds other predictions of the system with the same seed, or the submission was taken back.
        StoreError: If the board or the folder cannot be written.
    """
    check_statement(statement)
    answers = read_answers(path)
    checked = check(answers, part, path)
    metrics = judge(part, checked.scores)
    with exclusive_lock(home / ".submissions.lock"):
        owners = Owners.of(store)
        statement = replace(statement, system=owners.history.original(statement.system))
        spec = _spec(part, statement)
        run_id = submission_id(spec, statement.selection, part.cycles, checked.scores, checked.scored)
        document = _document(
            run_id, path, part, statement, answers.content, checked, metrics["official"] or {}, checked_by
        )
        sign(document, key)
        folder = RunFolder.of_submission(home, run_id)
        before = _before(owners, store, folder, run_id)
        _refuse_change(owners, document, before)
        # Whether the board can take it is worth knowing of before the folder is written.
        scores: dict[str, NDArray[np.float64]] = {statement.selection: checked.scores}
        store.rehearse([RunResult(validate(document, "The submission"), part.cycles, scores)])
        stored = _as_it_is_there(folder, document) or _write(folder, answers.content, part, checked, document)
        state = store.import_result(stored)
        _record(home, store, before, document, key)
    judged = {name: _at_epoch(values, statement) if values else None for name, values in metrics.items()}
    return Submitted(state, dict(stored.document), folder.path, judged, answers.stripped)


def _record(
    home: Path, store: Store, before: Mapping[str, Any] | None, document: Mapping[str, Any], key: SigningKey | None
) -> None:
    """Put a new submission, or what is stated otherwise of one, into the log."""
    run_id, system = document["run_id"], document["spec"]["system"]
    if before is None:
        record(home, store, "submit", run_id, {"system": system}, key)
    elif told := changes(before, document):
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
    if before is not None and not changes(before, document):
        return
    reason = owners.refusal(document)
    if reason is None and before is not None and key_of(before) is None:
        reason = "this submission is on the board with another statement, and without a key nobody can change it"
    if reason is not None:
        raise ResultError(
            f"Not accepted: {reason}.",
            "Submit under another --system or --seed, or sign with the system's key (BENCH_KEY, `bench board key`).",
        )


def check_statement(statement: Statement) -> None:
    """Refuse a statement that the board cannot hold or show; raises ResultError."""
    for name, value in vars(statement).items():
        if isinstance(value, str) and not _is_line(value):
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


def _is_line(text: str) -> bool:
    """Whether a text is one line that can be shown as it is: spaces of any kind and joined emoji are part of names."""
    return bool(text.strip()) and len(text) <= LONGEST_LINE and "?" not in plain(text.replace("?", ""))


def _document(
    run_id: str,
    path: Path,
    part: OfficialPart,
    statement: Statement,
    content: bytes,
    checked: Checked,
    official: Mapping[str, Metrics],
    checked_by: Mapping[str, Any],
) -> ResultDocument:
    rule = statement.selection
    said = {name: getattr(statement, name) for name in ("paper", "url", "notes")}
    return ResultDocument(
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
        metrics={**dict.fromkeys(RULES), rule: _at_epoch(official, statement)},
        epochs=[],
        predictions={**dict.fromkeys(RULES), rule: predictions_file(rule)},
        provenance={"checked_by": dict(checked_by), "cycles_from": part.source},
        seconds=None,
        cycles_per_second=None,
        judged_set=part.cycles.hash,
        patients_on_both_sides=sorted(part.shared_patients),
        submission={
            "selection": rule,
            "scores": checked.scored,
            "file": "submitted.parquet" if is_parquet(content) else "submitted.csv",
            "name": plain(path.name),
            "sha256": hashlib.sha256(content).hexdigest(),
            "inputs": statement.inputs.declared(),
            **said,
        },
    )


def _at_epoch(metrics: Mapping[str, Metrics], statement: Statement) -> dict[str, Any]:
    return {judged: {**values, "epoch": statement.epoch} for judged, values in metrics.items()}


def _spec(part: OfficialPart, statement: Statement) -> dict[str, Any]:
    """What the board tells systems apart by; the selection rule is not part of it, as with runs."""
    return {
        "system": statement.system,
        "model": statement.model or UNSTATED,
        "method": statement.method or UNSTATED,
        "pretrain": statement.pretrain or UNSTATED,
        "dataset": part.dataset,
        "data_fingerprint": part.cycles.hash,
        "partial": part.partial,
        "split": "official",
        "seed": statement.seed,
        "precision": UNSTATED,
    }


def _as_it_is_there(folder: RunFolder, document: Mapping[str, Any]) -> RunResult | None:
    """The submission that a folder holds already; when it was made and from which file does not matter."""
    found = folder.read() if folder.has_result() else None
    return None if found is None or changes(found.document, document) else found


def _write(
    folder: RunFolder, content: bytes, part: OfficialPart, checked: Checked, document: Mapping[str, Any]
) -> RunResult:
    submission = document["submission"]
    sweep(folder.path)
    with atomic_path(folder.path / submission["file"]) as copy:
        copy.write_bytes(content)
    write_cycles(folder.cycles, part.cycles)
    write_predictions(folder.predictions(submission["selection"]), part.cycles.keys, checked.scores)
    return folder.write(document)


def refusal(error: RefusedError) -> dict[str, Any]:
    """A refusal as a JSON document, with every cycle of the difference."""
    named = {name: value for name, value in asdict(error.difference).items() if name != "wrong_classes"}
    wrong = [[*key, word] for key, word in error.difference.wrong_classes]
    return {"accepted": False, "error": error.message, "hint": error.hint, **named, "wrong_classes": wrong}
