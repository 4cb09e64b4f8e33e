"""The form of a run's result: what ``result.json`` holds, and the one judge of such a document.

A document from outside is judged before anything else is done with it: known fields with the types and ranges that
everything reads them with, numbers that a database holds, the run id that follows from the spec. What the fields of a
spec may be, beyond those that the board reads, only the harness knows: it lends its judge.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, NotRequired, TypedDict, cast, get_args

from bench.core.documents import spec_judges
from bench.core.errors import BenchError, ResultError
from bench.core.text import echoed
from leaderboard.metrics import CLASSES, SENSITIVITIES, Metrics, Sensitivity, metrics_of
from leaderboard.results.inputs import check_inputs

SCHEMA = 1
TOLERANCE = 1e-9
"""Percent points by which a stored metric may differ from the recomputed one."""

LARGEST_COUNT = 2**31 - 1
"""The largest epoch and number of cycles: a column of PostgreSQL holds 32 bits."""

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
    judged_set: NotRequired[str]
    """Hash of the judged cycles (:mod:`leaderboard.results.judged_set`); older results do not say it."""


def kind_of(document: Mapping[str, Any] | ResultDocument) -> Kind:
    """Where a result comes from."""
    return cast(Kind, document.get("kind", "run"))


def judge_spec(document: ResultDocument, where: str) -> None:
    """Ask those whom the harness has lent (:func:`bench.core.documents.specs_judged_by`) about a result's spec.

    Raises:
        ResultError: If no run can have had it.
    """
    if kind_of(document) == "submission":
        return
    for judge in spec_judges:
        try:
            judge(document["spec"])
        except BenchError as error:
            raise ResultError(f"{where}: {error.message}", error.hint) from error


def run_id_of(spec: Mapping[str, Any]) -> str:
    """The id of a run: 16 hexadecimal characters, a hash of its spec's identity fields in canonical JSON."""
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# --- fields and their types -------------------------------------------------------------------------------------

Kinds = tuple[type, ...]

_TEXT, _WORDS, _LIST, _FLAG, _COUNT = (str,), (dict,), (list,), (bool,), (int,)
_NUMBER, _MAYBE_NUMBER, _MAYBE_TEXT = (int, float), (int, float, type(None)), (str, type(None))

_FIELDS: dict[str, Kinds] = {
    "schema": _COUNT,
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
_SPEC_FIELDS: dict[str, Kinds] = {
    "model": _TEXT,
    "method": _TEXT,
    "pretrain": _TEXT,
    "dataset": _TEXT,
    "data_fingerprint": _TEXT,
    "split": _TEXT,
    "precision": _TEXT,
    "seed": _COUNT,
}
_OPTIONAL_SPEC_FIELDS: dict[str, Kinds] = {
    "system": _TEXT,
    "partial": _MAYBE_TEXT,
    "epochs": _COUNT,
    "batch": _COUNT,
    "model_options": _WORDS,
    "method_options": _WORDS,
    "frontend_options": _WORDS,
    "extensions": _WORDS,
}
"""Fields that the tables read where they are there."""

_STUDY_FIELDS: dict[str, Kinds] = {"name": _TEXT, "objective": _TEXT, "role": _TEXT}
_OPTIONAL_STUDY_FIELDS: dict[str, Kinds] = {
    "space": _WORDS,
    "trial": _COUNT,
    "gpu_hours": _NUMBER,
    "cpu_hours": _NUMBER,
    **dict.fromkeys(("trials", "complete", "pruned", "fail", "test_evaluations", "folds", "seeds_per_trial"), _COUNT),
}
_SUBMISSION_FIELDS: dict[str, Kinds] = {"selection": _TEXT, "sha256": _TEXT, "scores": _FLAG}
_OPTIONAL_SUBMISSION_FIELDS: dict[str, Kinds] = {
    **dict.fromkeys(("file", "name", "paper", "url", "notes", "key", "signature"), _MAYBE_TEXT),
    "inputs": _WORDS,
}

LONGEST: dict[str, int] = {
    "created": 40,
    "profile": 40,
    "partial": 80,
    "model": 200,
    "method": 200,
    "pretrain": 200,
    "dataset": 40,
    "split": 80,
    "data_fingerprint": 64,
    "precision": 8,
}
"""Characters that the board's columns take, of a document or its spec; a test compares them with the schema."""

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Names of files in a run folder."""

_EPOCH_FIELDS: dict[str, Kinds] = {
    "epoch": _COUNT,
    "loss": _MAYBE_NUMBER,
    "lr": _NUMBER,
    "seconds": _NUMBER,
    "cycles_per_second": _NUMBER,
    "test": (dict, type(None)),
    "val": (dict, type(None)),
}
_METRIC_FIELDS: dict[str, Kinds] = {
    "sp": _NUMBER,
    "se": _NUMBER,
    "score": _NUMBER,
    "confusion": _LIST,
    "n": _COUNT,
}


def validate(document: Mapping[str, Any] | Any, where: str) -> ResultDocument:
    """Check the form of a result document.

    Args:
        document: What was read, or is to be written.
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
    _check_some(document["spec"], _OPTIONAL_SPEC_FIELDS, f"{where}: spec")
    _check_identity(document, where)
    _check_moment(document["created"], where)
    _check_lengths({**document["spec"], **document}, where)
    _check_kind(document, where)
    _check_study(document, where)
    _check_run_id(document, where)
    _check_extra(document, where)
    for rule, metrics in document["metrics"].items():
        _check_rule(document, rule, metrics, where)
    _check_epochs(document["epochs"], where)
    return cast(ResultDocument, document)


def _check_schema(schema: Any, where: str) -> None:
    if type(schema) is int and schema > SCHEMA:
        raise ResultError(
            f"{where} has the schema {schema}, but this lungbench reads up to {SCHEMA}.", "Update lungbench."
        )
    if type(schema) is not int or schema != SCHEMA:
        raise ResultError(f"{where}: schema is {_short(schema)}, but must be {SCHEMA}.")


def _check_fields(values: Any, fields: Mapping[str, Kinds], where: str) -> None:
    """Check that an object has all of some fields, and their types."""
    if not isinstance(values, dict):
        raise ResultError(f"{where} is {_short(values)}, but must be an object.")
    for name, kinds in fields.items():
        if name not in values:
            raise ResultError(f"{where} lacks '{name}'.")
        _check_type(values[name], kinds, name, where)


def _check_some(values: Mapping[str, Any], fields: Mapping[str, Kinds], where: str) -> None:
    """Check the types of those of some fields that an object has."""
    for name, kinds in fields.items():
        if name in values:
            _check_type(values[name], kinds, name, where)


def _check_type(value: Any, kinds: Kinds, name: str, where: str) -> None:
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        words = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
        raise ResultError(f"{where}: {name} is {_short(value)}, but must be {words}.")
    if isinstance(value, float) and not math.isfinite(value):
        raise ResultError(f"{where}: {name} is {value}, but must be a finite number.")


def _check_count(value: int, name: str, where: str) -> None:
    if not 1 <= value <= LARGEST_COUNT:
        raise ResultError(f"{where}: {name} is {_short(value)}, but must be from 1 to {LARGEST_COUNT:,}.")


def _check_identity(document: Mapping[str, Any], where: str) -> None:
    if not re.fullmatch(r"[0-9a-f]{16}", document["run_id"]):
        raise ResultError(f"{where}: run_id is {_short(document['run_id'])}, but must be 16 hexadecimal characters.")
    status = document["status"]
    if status not in STATUSES:
        raise ResultError(
            f"{where}: status is {_short(status)}, but must be {', '.join(STATUSES[:-1])} or {STATUSES[-1]}."
        )
    if (status != "finished") != (document["error"] is not None):
        raise ResultError(f"{where}: status is '{status}', but error is {_short(document['error'])}.")
    if "partial" in document["spec"] and document["spec"]["partial"] != document["partial"]:
        raise ResultError(
            f"{where}: partial is {_short(document['partial'])}, but that of its spec is "
            f"{_short(document['spec']['partial'])}."
        )


def _check_moment(created: str, where: str) -> None:
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ResultError(f"{where}: created is {_short(created)}, but must be a UTC time in ISO 8601.")


def _check_lengths(values: Mapping[str, Any], where: str) -> None:
    """Refuse a text that one database would take and another would not."""
    for name, most in LONGEST.items():
        value = values.get(name)
        if isinstance(value, str) and len(value) > most:
            raise ResultError(f"{where}: {name} has {len(value)} characters, but the board takes {most}.")


def _check_kind(document: Mapping[str, Any], where: str) -> None:
    """Check what a run must have and a submission need not, and the other way round."""
    kind = document.get("kind", "run")
    if kind not in get_args(Kind):
        raise ResultError(f"{where}: kind is {_short(kind)}, but must be {' or '.join(get_args(Kind))}.")
    if kind == "submission":
        _check_fields(document.get("submission"), _SUBMISSION_FIELDS, f"{where}: submission")
        _check_fields(document["spec"], {"system": _TEXT}, f"{where}: spec")
        rule = document["submission"]["selection"]
        if document["status"] != "finished":
            raise ResultError(f"{where}: status is '{document['status']}', but a submission must be finished.")
    else:
        _check_fields(document, {"seconds": _NUMBER}, where)
        rule = "last"
    if document["status"] == "finished" and document["metrics"].get(rule) is None:
        raise ResultError(f"{where}: status is 'finished', but there are no metrics for {echoed(rule)}.")


def _check_study(document: Mapping[str, Any], where: str) -> None:
    """Check that a run says which study it belongs to, and that trials and final runs are what they say."""
    study, is_trial = document.get("study"), kind_of(document) == "trial"
    if study is not None:
        _check_fields(study, _STUDY_FIELDS, f"{where}: study")
        _check_some(study, _OPTIONAL_STUDY_FIELDS, f"{where}: study")
    elif "study" in document:
        raise ResultError(f"{where}: study is None, but must be an object.")
    role = None if study is None else study["role"]
    if is_trial != (role == "trial") or role not in (None, "trial", "final"):
        raise ResultError(f"{where}: kind is '{kind_of(document)}', but the role in its study is {_short(role)}.")


def _check_run_id(document: Mapping[str, Any], where: str) -> None:
    """Check that a run has the id of its spec; that of a submission follows from its predictions too."""
    if kind_of(document) == "submission":
        return
    expected = run_id_of(document["spec"])
    if document["run_id"] != expected:
        raise ResultError(
            f"{where}: run_id is '{document['run_id']}', but that of its spec is {expected}.",
            "The document was edited, or is of two runs: run it again with --rerun.",
        )


def _check_extra(document: Mapping[str, Any], where: str) -> None:
    """Check the fields without a column of their own that tables and pages read."""
    above = document.get("best_above_min_se", {})
    _check_fields(above, {}, f"{where}: best_above_min_se")
    _check_some(above, dict.fromkeys(RULES, _FLAG), f"{where}: best_above_min_se")
    shared = document.get("patients_on_both_sides", [])
    if not (isinstance(shared, list) and all(isinstance(patient, str) for patient in shared)):
        raise ResultError(f"{where}: patients_on_both_sides is {_short(shared)}, but must list patients.")
    _check_some(document, {"judged_set": _TEXT}, where)
    submission = document.get("submission", {})
    _check_fields(submission, {}, f"{where}: submission")
    _check_some(submission, _OPTIONAL_SUBMISSION_FIELDS, f"{where}: submission")
    check_inputs(submission.get("inputs", {}), f"{where}: submission")


def _check_rule(document: Mapping[str, Any], rule: str, metrics: Any, where: str) -> None:
    if rule not in RULES:
        raise ResultError(f"{where}: metrics names the rule {_short(rule)}, but rules are {', '.join(RULES)}.")
    if metrics is None:
        return
    if document["status"] != "finished":
        raise ResultError(f"{where}: status is '{document['status']}', but there are metrics for {rule}.")
    is_submission = kind_of(document) == "submission"
    if is_submission and rule != document["submission"]["selection"]:
        raise ResultError(f"{where}: a submission has metrics for {rule}, but states another selection rule.")
    epoch = (int, type(None)) if is_submission else _COUNT
    check_judged(metrics, f"{where}: {rule}", {**_METRIC_FIELDS, "epoch": epoch})
    for judged in SENSITIVITIES:
        if metrics[judged]["epoch"] is not None:
            _check_count(metrics[judged]["epoch"], "epoch", f"{where}: {rule} {judged}")
    name = document["predictions"].get(rule)
    if not (isinstance(name, str) and _FILE.fullmatch(name)):
        raise ResultError(f"{where}: predictions of {rule} is {_short(name)}, but must name a file of the run folder.")


def check_judged(metrics: Any, where: str, fields: Mapping[str, Kinds] = _METRIC_FIELDS) -> None:
    """Check metrics under ``4class`` and ``2class``: their form, and that they follow from their confusion matrix.

    Raises:
        ResultError: At the first fault.
    """
    _check_fields(metrics, dict.fromkeys(SENSITIVITIES, _WORDS), where)
    for judged in SENSITIVITIES:
        _check_fields(metrics[judged], fields, f"{where} {judged}")
        _check_numbers(metrics[judged], judged, where)


def _check_numbers(metrics: Metrics, judged: Sensitivity, where: str) -> None:
    counts = metrics["confusion"]
    if not _is_confusion(counts):
        raise ResultError(f"{where} {judged}: confusion is {_short(counts)}, but must be 4 x 4 counts.")
    computed = metrics_of(counts, judged)
    for name in ("n", "sp", "se", "score"):
        if abs(metrics[name] - computed[name]) > TOLERANCE:
            raise ResultError(
                f"{where} {judged} stores {name} {metrics[name]}, but its confusion matrix gives {computed[name]}."
            )


def _is_confusion(counts: Any) -> bool:
    """Whether something is a confusion matrix of the four classes, with a sum that a column holds."""
    if not (len(counts) == len(CLASSES) and all(isinstance(row, list) and len(row) == len(CLASSES) for row in counts)):
        return False
    cells = [count for row in counts for count in row]
    return all(type(count) is int and 0 <= count <= LARGEST_COUNT for count in cells) and sum(cells) <= LARGEST_COUNT


def _check_epochs(rows: Any, where: str) -> None:
    seen = set[int]()
    for number, row in enumerate(rows, start=1):
        place = f"{where}: entry {number} of epochs"
        _check_fields(row, _EPOCH_FIELDS, place)
        _check_count(row["epoch"], "epoch", place)
        if row["epoch"] in seen:
            raise ResultError(f"{place}: epoch {row['epoch']} stands twice.")
        seen.add(row["epoch"])
        for part in ("test", "val"):
            if row[part] is not None:
                check_judged(row[part], f"{place}: {part}")


def _short(value: Any) -> str:
    return echoed(repr(value), 60)
