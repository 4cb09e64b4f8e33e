"""A run's result: per-cycle outputs, metrics for each selection rule, epochs and provenance, spooled in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from bench.core.datasets import DATASETS
from bench.core.errors import BenchError, PrunedRunError
from bench.core.provenance import code_version, package_versions
from bench.core.text import echoed
from bench.engine.hardware import hardware, peak_memory_mib
from bench.engine.states import epochs_so_far
from bench.experiment.spec import RunSpec
from leaderboard.results.predictions import CycleSet, write_cycles, write_predictions
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.run_result import RunResult, score_parts
from leaderboard.results.schema import RULES, SCHEMA, ResultDocument, TaskFields, task_of
from leaderboard.tasks import task_document

if TYPE_CHECKING:
    from bench.engine.data import RunData
    from bench.engine.selection import Choice
    from bench.engine.trainer import Outcome


BATCH_EXTREMES = "batch_extremes"
"""Field of a result's provenance: smallest and largest value of a usual batch of the training."""

LONGEST_ERROR = 10_000
"""Characters of an error that a result keeps."""


def write_run_result(spec: RunSpec, data: RunData, outcome: Outcome, folder: Path, processes: int) -> None:
    """Write predictions, judged cycles and, as the last act, ``result.json``.

    Args:
        spec: What was run.
        data: What it was run on.
        outcome: What training left.
        folder: The run's folder.
        processes: How many processes shared it.
    """
    files, cycles, position = RunFolder(folder), test_cycles(data), outcome.position
    choices = outcome.selection.choices
    write_cycles(files.cycles, cycles)
    task = data.task
    for rule, choice in choices.items():
        write_predictions(files.predictions(rule), cycles.keys, choice.scores, task.classes)
    # What was measured when the epoch was evaluated: the launcher recomputes it from the predictions.
    judged = {entry["epoch"]: entry["test"] for entry in position.epochs}
    trained = sum(entry["seconds"] for entry in position.epochs)
    document = _document(
        spec,
        processes,
        peak_memory_mib(),
        status="finished",
        metrics={rule: _at(choice.epoch, judged) for rule, choice in choices.items()},
        epochs=position.epochs,
        predictions={rule: files.predictions(rule).name for rule in choices},
        seconds=position.seconds,
        cycles_per_second=outcome.rows / max(trained, 1e-9),
    )
    # An epoch that never reached the official Se threshold can be "best" only for want of another.
    document["best_above_min_se"] = {rule: choice.eligible for rule, choice in choices.items()}
    if outcome.chosen:
        document["chosen"] = dict(outcome.chosen)
    _add_task(document, data, cycles, choices)
    document["judged_set"] = cycles.hash
    document["patients_on_both_sides"] = patients_on_both_sides(data, cycles)
    document["provenance"] |= typical_extremes(spec, data)
    files.write_unread(document)


def typical_extremes(spec: RunSpec, data: RunData) -> dict[str, Any]:
    """What a run whose front-end normalises by the batch keeps for recordings that come by themselves.

    Args:
        spec: The spec of the run.
        data: What it was run on.

    Returns:
        :data:`BATCH_EXTREMES` with the smallest and the largest value of a usual batch of its training; nothing for
        other runs.
    """
    if data.extremes is None:
        return {}
    return {BATCH_EXTREMES: list(data.extremes.typical(data.train, spec.sampling.batch))}


def _add_task(document: ResultDocument, data: RunData, cycles: CycleSet, choices: Mapping[str, Choice]) -> None:
    """Write down what was judged, and the metrics of the tested parts beside the main one."""
    task, told = data.task, task_document(data.card, data.task)
    if told is not None:
        document["task"] = cast(TaskFields, told)
    if not task.other_parts:
        return
    judged = {rule: score_parts(cycles, choice.scores, task) for rule, choice in choices.items()}
    document["other_parts"] = {
        part.id: {rule: _at(choice.epoch, {choice.epoch: judged[rule][part.id]}) for rule, choice in choices.items()}
        for part in task.other_parts
    }


def _at(epoch: int, judged: Mapping[int, Any]) -> dict[str, Any]:
    """Metrics of an epoch, by sensitivity, as those of a selection rule."""
    return {name: {**values, "epoch": epoch} for name, values in judged[epoch].items()}


def write_failed_result(spec: RunSpec, folder: RunFolder, error: BenchError) -> RunResult:
    """Store a run that started and failed, or was pruned: it is shown as that and never counts as done.

    Args:
        spec: What was run.
        folder: The run's folder.
        error: What ended it.

    Returns:
        The result.
    """
    epochs = epochs_so_far(folder.checkpoint, DATASETS.card(spec.dataset).task(spec.task))
    # The processes of a group have taken their peaks with them; this one did not train.
    peak: dict[str, float | None] = (
        peak_memory_mib() if spec.distribution.processes == 1 else {"host": None, "gpu": None}
    )
    document = _document(
        spec,
        spec.distribution.processes,
        peak,
        status="pruned" if isinstance(error, PrunedRunError) else "failed",
        # Words of other programs stand in it: the board takes one line that can be shown.
        error=echoed(" ".join(error.message.split()), LONGEST_ERROR),
        epochs=epochs,
        seconds=sum(entry["seconds"] for entry in epochs),
    )
    judged = task_of(document)
    told = None if judged.card is None else task_document(judged.card, judged.task)
    if told is not None:
        document["task"] = cast(TaskFields, told)
    return folder.write(document)


def test_cycles(data: RunData) -> CycleSet:
    """The cycles of the test part, with class, patient and device."""
    rows, _ = data.cycles_of(data.test)
    keys = data.keys(rows)
    recordings = [data.recordings[name] for name, _ in keys]
    return CycleSet(
        keys=tuple(keys),
        labels=tuple(int(label) for label in data.bank.labels[rows]),
        patients=tuple(recording.patient for recording in recordings),
        devices=tuple(recording.device for recording in recordings),
        parts=data.tested_parts(rows) if data.task.other_parts else (),
    )


def patients_on_both_sides(data: RunData, cycles: CycleSet) -> list[str]:
    """Patients of the judged cycles who have cycles in the training part too (held-out ones included)."""
    trained = {data.recordings[name].patient for rows in (data.train, data.val) for name, _ in data.keys(rows)}
    seen = {part.id for part in data.task.parts if part.patients_seen}
    parts = cycles.parts or (data.task.main.id,) * len(cycles)
    tested = {patient for patient, part in zip(cycles.patients, parts, strict=True) if part not in seen}
    return sorted(trained & tested)


def _document(
    spec: RunSpec,
    processes: int,
    peak: Mapping[str, float | None],
    *,
    status: Literal["finished", "failed", "pruned"],
    epochs: list[Any],
    seconds: float,
    error: str | None = None,
    metrics: Mapping[str, Any] | None = None,
    predictions: Mapping[str, str] | None = None,
    cycles_per_second: float | None = None,
) -> ResultDocument:
    """The result of a run that came to an end now; rules without metrics or predictions have null."""
    document = ResultDocument(
        schema=SCHEMA,
        run_id=spec.run_id,
        status=status,
        error=error,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        spec=spec.identity(),
        execution={name: value for name, value in spec.execution().items() if name != "study"},
        profile=spec.profile,
        partial=spec.partial,
        metrics={**dict.fromkeys(RULES), **(metrics or {})},
        epochs=epochs,
        predictions={**dict.fromkeys(RULES), **(predictions or {})},
        provenance={
            "code": code_version(),
            "packages": package_versions(),
            "hardware": hardware(),
            "processes": processes,
            "device": spec.distribution.device,
            "precision": spec.precision,
            "peak_memory_mib": dict(peak),
        },
        seconds=seconds,
        cycles_per_second=cycles_per_second,
    )
    if spec.study:
        document["study"] = dict(spec.study)
        if spec.study["role"] == "trial":
            # A kind of its own, so that no table takes it for a system.
            document["kind"] = "trial"
    if spec.part_of:
        # It lies on the shelf of the board: the composite is the system.
        document |= {"kind": "part", "part_of": spec.part_of}
    return document
