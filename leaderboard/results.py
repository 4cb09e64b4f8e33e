"""The result of a run as files: ``result.json``, predictions for each selection rule, and the judged cycles.

A run folder alone is enough to make its rows of the board anew. Reading one recomputes every stored metric of a
selection rule from the predictions, and refuses a document that says something else.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict, cast, get_args

import numpy as np
from numpy.typing import NDArray

from leaderboard.errors import ResultError
from leaderboard.files import write_json
from leaderboard.metrics import JUDGED, Judged, Metrics, metrics_of, score_cycles
from leaderboard.predictions import CycleSet, align, read_cycles, read_predictions

SCHEMA = 1
RESULT_FILE = "result.json"
CYCLES_FILE = "test-cycles.csv"
TOLERANCE = 1e-9
"""Percent points by which a stored metric may differ from the recomputed one."""

Kind = Literal["run", "trial", "submission"]
"""Where a result comes from: trained here, trained for a search alone, or a system from outside by its predictions."""

STATUSES = ("finished", "failed", "pruned")
"""How a result ended; a trial is pruned where its search gave it up after an epoch."""

Rule = Literal["last", "best-test", "best-val"]
RULES: tuple[Rule, ...] = get_args(Rule)
"""Selection rules: the last epoch, the best on test (the field's habit), the best on held-out training patients."""


class RuleMetrics(Metrics):
    """Metrics and the epoch that they belong to; None where a submission does not say."""

    epoch: int | None


class EpochRow(TypedDict):
    """One epoch: mean loss (None where it was not finite), learning rate, duration in s, and metrics by judged."""

    epoch: int
    loss: float | None
    lr: float
    seconds: float
    cycles_per_second: float
    test: dict[str, Metrics] | None
    val: dict[str, Metrics] | None


class ResultDocument(TypedDict):
    """The content of ``result.json``; ``metrics`` by rule, then by judged (``4class``, ``2class``)."""

    schema: int
    run_id: str
    status: Literal["finished", "failed", "pruned"]
    error: str | None
    created: str
    spec: dict[str, Any]
    execution: dict[str, Any]
    profile: str
    partial: str | None
    metrics: dict[str, dict[str, RuleMetrics] | None]
    epochs: list[EpochRow]
    predictions: dict[str, str | None]
    provenance: dict[str, Any]
    seconds: float | None
    cycles_per_second: float | None
    kind: NotRequired[Kind]
    """``run`` where it is not named."""
    submission: NotRequired[dict[str, Any]]
    """Of a submission: its file and hash, the stated selection rule, paper and notes."""
    study: NotRequired[dict[str, Any]]
    """Of a run of a search: its name, objective and role (``trial`` or ``final``); a final one's budget too."""
    best_above_min_se: NotRequired[dict[str, bool]]
    """By rule, whether the chosen epoch reached the least Se; a best epoch without it is best for want of another."""
    patients_on_both_sides: NotRequired[list[str]]
    """Patients with cycles in the training and in the test part of the set that the run was made on."""


@dataclass(frozen=True, eq=False)
class RunResult:
    """A run's result as read and checked.

    Attributes:
        document: Its ``result.json``.
        cycles: The judged cycles; None for a failed run without predictions.
        scores: By rule, (n, 4) float64 in the order of ``cycles``.
    """

    document: ResultDocument
    cycles: CycleSet | None = None
    scores: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 over everything that the board stores of it, in whatever order its files list the cycles."""
        by_rule = {name: {rule: self.document[name].get(rule) for rule in RULES} for name in ("metrics", "predictions")}
        digest = hashlib.sha256(json.dumps({**self.document, **by_rule}, sort_keys=True).encode())
        if self.cycles is not None:
            order = self.cycles.order
            cycles = self.cycles.subset(order)
            digest.update(repr((cycles.keys, cycles.labels, cycles.patients, cycles.devices)).encode())
            for rule in sorted(self.scores):
                digest.update(rule.encode() + np.ascontiguousarray(self.scores[rule][order], dtype="<f8").tobytes())
        return digest.hexdigest()


def kind_of(document: Mapping[str, Any] | ResultDocument) -> Kind:
    """Where a result comes from."""
    return cast(Kind, document.get("kind", "run"))


def write_result(folder: Path, document: ResultDocument | Mapping[str, Any]) -> Path:
    """Check a result document and write it atomically as the run's last act; the other files must be there.

    Args:
        folder: The run folder.
        document: The document.

    Returns:
        The path of ``result.json``.

    Raises:
        ResultError: If the document, or its predictions beside it, would be refused by :func:`read_result`.
        StoreError: If it cannot be written.
    """
    path = folder / RESULT_FILE
    _load(folder, validate(document, str(path)))
    write_json(path, document)
    return path


def read_result(folder: Path) -> RunResult:
    """Read a run folder and recompute its metrics.

    Raises:
        ResultError: If a file is missing or broken, or a stored metric differs from the predictions by more
            than 1e-9; the rule and both numbers are named.
    """
    path = folder / RESULT_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultError(f"Cannot read {path}: {error.strerror or error}.") from error
    except ValueError as error:
        raise ResultError(f"{path} is not a JSON document: {error}.", "Run it again with --rerun.") from error
    return _load(folder, validate(document, str(path)))


def _load(folder: Path, document: ResultDocument) -> RunResult:
    stored = {rule: metrics for rule, metrics in document["metrics"].items() if metrics is not None}
    if not stored:
        return RunResult(document)
    cycles = read_cycles(folder / CYCLES_FILE)
    scores = {rule: _scores(folder, document, rule, cycles) for rule in stored}
    for rule, metrics in stored.items():
        _compare(metrics, score_cycles(cycles.labels, scores[rule]), f"{folder / RESULT_FILE}: {rule}")
    return RunResult(document, cycles, scores)


def _scores(folder: Path, document: ResultDocument, rule: str, cycles: CycleSet) -> NDArray[np.float64]:
    name = document["predictions"].get(rule)
    if not name:
        raise ResultError(f"{folder / RESULT_FILE} has metrics but no predictions for {rule}.")
    path = folder / name
    scores = align(read_predictions(path), cycles, path).scores
    if scores is None:
        raise ResultError(f"{path} holds chosen classes only, but a run stores scores.")
    return scores


def _compare(stored: Mapping[str, Metrics], computed: Mapping[str, Metrics], where: str) -> None:
    for judged in JUDGED:
        for name in ("n", "confusion"):
            if stored[judged][name] != computed[judged][name]:
                raise _differs(where, judged, name, stored[judged], computed[judged])
        for name in ("sp", "se", "score"):
            if abs(stored[judged][name] - computed[judged][name]) > TOLERANCE:  # type: ignore[literal-required]
                raise _differs(where, judged, name, stored[judged], computed[judged])


def _differs(where: str, judged: str, name: str, stored: Mapping[str, Any], computed: Mapping[str, Any]) -> ResultError:
    return ResultError(
        f"{where} {judged} stores {name} {stored[name]}, but its predictions give {computed[name]}.",
        "The files are not of one run, or were edited: run it again with --rerun.",
    )


# --- the document -----------------------------------------------------------------------------------------------

_TEXT, _WORDS, _LIST = (str,), (dict,), (list,)
_NUMBER, _MAYBE_NUMBER, _MAYBE_TEXT = (int, float), (int, float, type(None)), (str, type(None))

_FIELDS: dict[str, tuple[type, ...]] = {
    "schema": (int,),
    "run_id": _TEXT,
    "status": _TEXT,
    "error": _MAYBE_TEXT,
    "created": _TEXT,
    "spec": _WORDS,
    "execution": _WORDS,
    "profile": _TEXT,
    "partial": _MAYBE_TEXT,
    "metrics": _WORDS,
    "epochs": _LIST,
    "predictions": _WORDS,
    "provenance": _WORDS,
    "seconds": _MAYBE_NUMBER,
    "cycles_per_second": _MAYBE_NUMBER,
}
_SPEC_FIELDS: dict[str, tuple[type, ...]] = {
    "model": _TEXT,
    "method": _TEXT,
    "pretrain": _TEXT,
    "dataset": _TEXT,
    "data_fingerprint": _TEXT,
    "split": _TEXT,
    "precision": _TEXT,
    "seed": (int,),
}
_EPOCH_FIELDS: dict[str, tuple[type, ...]] = {
    "epoch": (int,),
    "loss": _MAYBE_NUMBER,
    "lr": _NUMBER,
    "seconds": _NUMBER,
    "cycles_per_second": _NUMBER,
    "test": (dict, type(None)),
    "val": (dict, type(None)),
}
_METRIC_FIELDS: dict[str, tuple[type, ...]] = {
    "sp": _NUMBER,
    "se": _NUMBER,
    "score": _NUMBER,
    "confusion": _LIST,
    "n": (int,),
}


def validate(document: Mapping[str, Any] | Any, where: str) -> ResultDocument:
    """Check the form of a result document.

    Args:
        document: What was read.
        where: Its file, for messages.

    Returns:
        The same document, typed.

    Raises:
        ResultError: At the first field that is missing or wrong; the field and its value are named.
    """
    if not isinstance(document, dict):
        raise ResultError(f"{where} holds no result document.")
    _check_schema(document.get("schema"), where)
    _check_fields(document, _FIELDS, where)
    _check_fields(document["spec"], _SPEC_FIELDS, f"{where}: spec")
    _check_identity(document, where)
    _check_kind(document, where)
    _check_study(document, where)
    for rule, metrics in document["metrics"].items():
        _check_rule(document, rule, metrics, where)
    _check_fields(document.get("best_above_min_se", {}), {}, f"{where}: best_above_min_se")
    shared = document.get("patients_on_both_sides", [])
    if not (isinstance(shared, list) and all(isinstance(patient, str) for patient in shared)):
        raise ResultError(f"{where}: patients_on_both_sides is {_short(shared)}, but must list patients.")
    for number, row in enumerate(document["epochs"], start=1):
        _check_epoch(row, f"{where}: entry {number} of epochs")
    return cast(ResultDocument, document)


def _check_schema(schema: Any, where: str) -> None:
    if isinstance(schema, int) and schema > SCHEMA:
        raise ResultError(
            f"{where} has the schema {schema}, but this lungbench reads up to {SCHEMA}.", "Update lungbench."
        )
    if schema != SCHEMA:
        raise ResultError(f"{where}: schema is {schema!r}, but must be {SCHEMA}.")


def _check_fields(values: Any, fields: Mapping[str, tuple[type, ...]], where: str) -> None:
    if not isinstance(values, dict):
        raise ResultError(f"{where} is {_short(values)}, but must be an object.")
    for name, kinds in fields.items():
        if name not in values:
            raise ResultError(f"{where} lacks '{name}'.")
        value = values[name]
        if not isinstance(value, kinds) or isinstance(value, bool):
            words = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
            raise ResultError(f"{where}: {name} is {_short(value)}, but must be {words}.")
        if isinstance(value, float) and not math.isfinite(value):
            raise ResultError(f"{where}: {name} is {value}, but must be a finite number.")


def _check_identity(document: Mapping[str, Any], where: str) -> None:
    if not re.fullmatch(r"[0-9a-f]{16}", document["run_id"]):
        raise ResultError(f"{where}: run_id is '{document['run_id']}', but must be 16 hexadecimal characters.")
    status = document["status"]
    if status not in STATUSES:
        raise ResultError(f"{where}: status is '{status}', but must be {', '.join(STATUSES[:-1])} or {STATUSES[-1]}.")
    if (status != "finished") != (document["error"] is not None):
        raise ResultError(f"{where}: status is '{status}', but error is {_short(document['error'])}.")
    try:
        moment = datetime.fromisoformat(document["created"])
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ResultError(f"{where}: created is '{document['created']}', but must be a UTC time in ISO 8601.")


def _check_kind(document: Mapping[str, Any], where: str) -> None:
    """Check what a run must have and a submission need not, and the other way round."""
    kind = document.get("kind", "run")
    if kind not in get_args(Kind):
        raise ResultError(f"{where}: kind is {_short(kind)}, but must be {' or '.join(get_args(Kind))}.")
    if kind == "submission":
        _check_fields(document.get("submission"), {"selection": _TEXT, "sha256": _TEXT}, f"{where}: submission")
        _check_fields(document["spec"], {"system": _TEXT}, f"{where}: spec")
        rule = document["submission"]["selection"]
    else:
        _check_fields(document, {"seconds": _NUMBER}, where)
        rule = "last"
    if document["status"] == "finished" and document["metrics"].get(rule) is None:
        raise ResultError(f"{where}: status is 'finished', but there are no metrics for {rule}.")


def _check_study(document: Mapping[str, Any], where: str) -> None:
    """Check that a run says which study it belongs to, and that trials and final runs are what they say."""
    study, is_trial = document.get("study"), kind_of(document) == "trial"
    if study is not None:
        _check_fields(study, {"name": _TEXT, "objective": _TEXT, "role": _TEXT}, f"{where}: study")
    role = None if study is None else study["role"]
    if is_trial != (role == "trial") or role not in (None, "trial", "final"):
        raise ResultError(f"{where}: kind is '{kind_of(document)}', but the role in its study is {_short(role)}.")


def _check_rule(document: Mapping[str, Any], rule: str, metrics: Any, where: str) -> None:
    if rule not in RULES:
        raise ResultError(f"{where}: metrics names the rule '{rule}', but rules are {', '.join(RULES)}.")
    if metrics is None:
        return
    if document["status"] != "finished":
        raise ResultError(f"{where}: status is '{document['status']}', but there are metrics for {rule}.")
    epoch = (int, type(None)) if kind_of(document) == "submission" else (int,)
    check_judged(metrics, f"{where}: {rule}", {**_METRIC_FIELDS, "epoch": epoch})
    name = document["predictions"].get(rule)
    if not isinstance(name, str) or Path(name).name != name or name in ("", ".", ".."):
        raise ResultError(f"{where}: predictions of {rule} is {_short(name)}, but must name a file of the run folder.")


def check_judged(metrics: Any, where: str, fields: Mapping[str, tuple[type, ...]] = _METRIC_FIELDS) -> None:
    """Check metrics under ``4class`` and ``2class``: their form, and that they follow from their confusion matrix.

    Raises:
        ResultError: At the first fault.
    """
    _check_fields(metrics, dict.fromkeys(JUDGED, _WORDS), where)
    for judged in JUDGED:
        _check_fields(metrics[judged], fields, f"{where} {judged}")
        _check_numbers(metrics[judged], judged, where)


def _check_numbers(metrics: Metrics, judged: Judged, where: str) -> None:
    try:
        computed = metrics_of(metrics["confusion"], judged)
    except (TypeError, ValueError, OverflowError):
        raise ResultError(
            f"{where} {judged}: confusion is {_short(metrics['confusion'])}, but must be 4 x 4 counts."
        ) from None
    for name in ("n", "sp", "se", "score"):
        if abs(metrics[name] - computed[name]) > TOLERANCE:
            raise ResultError(
                f"{where} {judged} stores {name} {metrics[name]}, but its confusion matrix gives {computed[name]}."
            )


def _check_epoch(row: Any, where: str) -> None:
    _check_fields(row, _EPOCH_FIELDS, where)
    for part in ("test", "val"):
        if row[part] is not None:
            check_judged(row[part], f"{where}: {part}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
