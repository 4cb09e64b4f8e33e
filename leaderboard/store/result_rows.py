"""From a run's result to rows of the database, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Literal, cast

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from bench.core.datasets import FOUR_CLASSES
from bench.core.errors import ResultError
from leaderboard.metrics import LARGEST_COUNT, predicted_classes
from leaderboard.results.predictions import CycleSet, Key
from leaderboard.results.run_result import RunResult, score_parts
from leaderboard.results.schema import (
    RULES,
    SCHEMA,
    EpochRow,
    ResultDocument,
    RuleMetrics,
    SpecFields,
    kind_of,
    marks_of,
    names_stored_as,
)
from leaderboard.store import schema
from leaderboard.tasks import JudgedTask, judged_task

Imported = Literal["new", "same", "changed", "retracted"]

_VALUES, _OBJECTS = names_stored_as("value"), names_stored_as("object")
_OF_SPEC = names_stored_as("value", SpecFields)
"""Fields of the document, and of its spec, that have columns of the runs."""

_KNOWN = frozenset({"schema", "kind", *_VALUES, *_OBJECTS, *names_stored_as("rows")})
"""Fields that have columns or tables; others are kept together."""

METRIC_COLUMNS = {name: schema.MEAN_COLUMNS.get(name, name) for name in marks_of(RuleMetrics)}
"""The column of each field of metrics."""

EPOCH_COLUMNS = tuple(name for name in marks_of(EpochRow) if name in schema.EpochRow.__table__.columns)

_EPOCH_EXTRAS = tuple(name for name in marks_of(EpochRow) if name not in EPOCH_COLUMNS)
"""Fields of an epoch that have no column: ``extra["epochs"]`` of the run holds them, by the number of the epoch."""

_AT_ONCE = 500
"""Runs asked for in one statement: databases limit its parameters."""


def system_hash(spec: Mapping[str, Any]) -> str:
    """Hex SHA-256 of a spec without its seed: runs that differ in nothing but the seed are one system."""
    rest = {name: value for name, value in spec.items() if name != "seed"}
    return sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def put(session: Session, result: RunResult, *, anew: bool = False) -> Imported:
    """Store a result: a run that is there with the same content stays, one with other content is replaced.

    Args:
        session: A writing one.
        result: The result.
        anew: Replace one with the same content too.
    """
    run_id = result.document["run_id"]
    known = session.scalar(sa.select(schema.Run.digest).where(schema.Run.run_id == run_id))
    if known == result.digest and not anew:
        return "same"
    if known is not None:
        session.execute(sa.delete(schema.Run).where(schema.Run.run_id == run_id))
    run = _run_row(result)
    if result.cycles is not None:
        order = result.cycles.order
        _put_cycles(session, result.cycles, order)
        run.predictions = [_prediction_row(result, result.cycles, rule, order) for rule in result.scores]
    session.add(run)
    if known is None:
        return "new"
    return "same" if known == result.digest else "changed"


def _put_cycles(session: Session, cycles: CycleSet, order: Sequence[int]) -> None:
    if session.get(schema.CycleSetRow, cycles.hash) is not None:
        return
    row = schema.CycleSetRow(
        hash=cycles.hash,
        n=len(cycles),
        recordings=[cycles.keys[i][0] for i in order],
        cycles=[cycles.keys[i][1] for i in order],
        labels=[cycles.labels[i] for i in order],
        patients=[cycles.patients[i] for i in order],
        devices=[cycles.devices[i] for i in order],
        parts=[cycles.parts[i] for i in order] if cycles.parts else None,
    )
    session.add(row)
    session.flush()


def _prediction_row(result: RunResult, cycles: CycleSet, rule: str, order: Sequence[int]) -> schema.PredictionRow:
    """Scores in the cycle set's order; as float32 where that loses nothing."""
    scores = result.scores[rule][list(order)]
    with np.errstate(over="ignore"):
        small = scores.astype("<f4")
    packed = small if np.array_equal(small.astype("<f8"), scores) else scores.astype("<f8")
    return schema.PredictionRow(
        rule=rule,
        file=str(result.document["predictions"][rule]),
        cycle_set=cycles.hash,
        dtype=packed.dtype.str,
        scores=packed.tobytes(),
    )


def _run_row(result: RunResult) -> schema.Run:
    document = cast("dict[str, Any]", result.document)
    spec = document["spec"]
    columns = {name: document[name] for name in (*_VALUES, *_OBJECTS)} | {name: spec[name] for name in _OF_SPEC}
    return schema.Run(
        kind=kind_of(result.document),
        digest=result.digest,
        system=system_hash(spec),
        task=spec.get("task", FOUR_CLASSES.id),
        judged_set=None if result.cycles is None else result.cycles.hash,
        **columns,
        **_provenance_columns(document["provenance"]),
        extra={name: value for name, value in document.items() if name not in _KNOWN} | _epoch_extras(document),
        metrics=[schema.MetricRow(**columns) for columns in _metric_columns(document["metrics"])],
        other_parts=[
            schema.PartMetricRow(part=part, **columns)
            for part, by_rule in document.get("other_parts", {}).items()
            for columns in _metric_columns(by_rule)
        ],
        epochs=[schema.EpochRow(**{name: row[name] for name in EPOCH_COLUMNS}) for row in document["epochs"]],
        predictions=[],
    )


def _epoch_extras(document: Mapping[str, Any]) -> dict[str, Any]:
    """What the epochs of a document hold beyond their columns; nothing where no epoch holds more."""
    by_epoch = {
        str(row["epoch"]): {name: row[name] for name in _EPOCH_EXTRAS if name in row} for row in document["epochs"]
    }
    found = {epoch: extras for epoch, extras in by_epoch.items() if extras}
    return {"epochs": found} if found else {}


def whole_epoch(columns: Mapping[str, Any], extra: Mapping[str, Any]) -> EpochRow:
    """An epoch as the result document holds it.

    Args:
        columns: Its columns by name.
        extra: The fields of its run that have no column.
    """
    return cast(EpochRow, {**columns, **extra.get("epochs", {}).get(str(columns["epoch"]), {})})


def _provenance_columns(provenance: Mapping[str, Any]) -> dict[str, Any]:
    code, hardware = _part(provenance, "code"), _part(provenance, "hardware")
    gpus, dirty, processes = hardware.get("gpus"), code.get("dirty"), provenance.get("processes")
    words = {
        "code_version": code.get("version"),
        "code_commit": code.get("commit"),
        "device": provenance.get("device"),
        "cpu": hardware.get("cpu"),
        "gpu": ", ".join(map(str, gpus)) if isinstance(gpus, list) else None,
    }
    return {
        # The whole text is in the provenance; PostgreSQL takes no more than a column's width.
        **{name: None if text is None else str(text)[: _width(name)] for name, text in words.items()},
        "code_dirty": dirty if isinstance(dirty, bool) else None,
        "processes": processes if type(processes) is int and 0 <= processes <= LARGEST_COUNT else None,
    }


def _part(mapping: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = mapping.get(name)
    return value if isinstance(value, dict) else {}


def _width(column: str) -> int | None:
    """Characters that a column of the runs takes; None where there is no bound."""
    return getattr(schema.Run.__table__.c[column].type, "length", None)


def _metric_columns(by_rule: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The columns of each metrics of a tested part, which are given by rule and judged."""
    for rule, by_judged in by_rule.items():
        for judged, metrics in (by_judged or {}).items():
            columns = {column: metrics.get(name) for name, column in METRIC_COLUMNS.items()}
            yield {"rule": rule, "judged": judged, **columns}


def read_predictions_of(session: Session, run_id: str, rule: str) -> tuple[CycleSet, NDArray[np.float64]]:
    """The judged cycles of a run and its scores (n, classes) in their order.

    Raises:
        ResultError: If the run has none under the rule.
    """
    row = session.get(schema.PredictionRow, (run_id, rule))
    if row is None:
        raise ResultError(f"The run {run_id} has no predictions under the rule '{rule}'.")
    cycles = _cycle_set(session, row.cycle_set)
    return cycles, _unpacked(row.scores, row.dtype, len(cycles)).astype(np.float64)


def _cycle_set(session: Session, cycle_set: str) -> CycleSet:
    row = session.get_one(schema.CycleSetRow, cycle_set)
    keys: tuple[Key, ...] = tuple(zip(row.recordings, row.cycles, strict=True))
    return CycleSet(keys, tuple(row.labels), tuple(row.patients), tuple(row.devices), tuple(row.parts or ()))


def _unpacked(scores: bytes, dtype: str, n: int) -> NDArray[Any]:
    """The scores (n, classes) of n cycles: how many classes there are follows from how many scores each cycle has."""
    return np.frombuffer(scores, dtype=dtype).reshape(n, -1)


def read_choices_of(
    session: Session, run_ids: Sequence[str], rule: str
) -> dict[str, tuple[CycleSet, NDArray[np.int64]]]:
    """The judged cycles and the chosen classes of those of the runs that have predictions under the rule, by run id."""
    found = read_scores_of(session, run_ids, rule)
    return {run_id: (cycles, predicted_classes(scores, None)) for run_id, cycles, scores in found}


def read_scores_of(session: Session, run_ids: Sequence[str], rule: str) -> Iterator[tuple[str, CycleSet, NDArray[Any]]]:
    """Run id, judged cycles and scores (n, classes), as they are stored, of those that have some under the rule."""
    row = schema.PredictionRow
    sets: dict[str, CycleSet] = {}
    for start in range(0, len(run_ids), _AT_ONCE):
        part = row.run_id.in_(run_ids[start : start + _AT_ONCE])
        query = sa.select(row.run_id, row.cycle_set, row.dtype, row.scores).where(row.rule == rule, part)
        for run_id, cycle_set, dtype, scores in session.execute(query):
            if cycle_set not in sets:
                sets[cycle_set] = _cycle_set(session, cycle_set)
            cycles = sets[cycle_set]
            yield run_id, cycles, _unpacked(scores, dtype, len(cycles))


def document_of(session: Session, run: schema.Run) -> ResultDocument:
    """The result document of a stored run, its metrics recomputed from its stored predictions."""
    metrics, others = _recomputed_metrics(session, run)
    files = {row.rule: row.file for row in run.predictions}
    document = {
        "schema": SCHEMA,
        **{name: getattr(run, name) for name in (*_VALUES, *_OBJECTS)},
        "metrics": {rule: metrics.get(rule) for rule in RULES},
        "epochs": [whole_epoch({name: getattr(row, name) for name in EPOCH_COLUMNS}, run.extra) for row in run.epochs],
        "predictions": {rule: files.get(rule) for rule in RULES},
        **({"other_parts": others} if others else {}),
        **{name: value for name, value in run.extra.items() if name != "epochs"},
    }
    if run.kind != "run":
        document["kind"] = run.kind
    return cast(ResultDocument, document)


def task_of_run(run: schema.Run) -> JudgedTask:
    """What a stored run was judged on."""
    return judged_task(run.spec, run.extra.get("task"))


def result_of(session: Session, run: schema.Run) -> RunResult:
    """A stored run as its folder gave it, cycles in sorted order."""
    found = {row.rule: read_predictions_of(session, run.run_id, row.rule) for row in run.predictions}
    cycles = next((cycles for cycles, _ in found.values()), None)
    return RunResult(document_of(session, run), cycles, {rule: scores for rule, (_, scores) in found.items()})


def _recomputed_metrics(session: Session, run: schema.Run) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The metrics of a run's main part by rule, and those of the other parts by part and rule."""
    task = task_of_run(run).task
    main: dict[str, Any] = {}
    others: dict[str, dict[str, Any]] = {part.id: {} for part in task.other_parts} if run.metrics else {}
    epochs = {row.rule: row.epoch for row in run.metrics}
    for rule, epoch in ((rule, epochs[rule]) for rule in RULES if rule in epochs):
        for part, by_judged in score_parts(*read_predictions_of(session, run.run_id, rule), task).items():
            by_rule = main if part == task.main.id else others[part]
            by_rule[rule] = {judged: {**metrics, "epoch": epoch} for judged, metrics in by_judged.items()}
    return main, others
