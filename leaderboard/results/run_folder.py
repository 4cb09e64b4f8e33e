"""The result of a run as files: ``result.json``, predictions for each selection rule, and the judged cycles.

A run folder alone is enough to make its rows of the board anew. Reading one recomputes every stored metric of a
selection rule from the predictions, and refuses a document that says something else.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.documents import check_values, parse_document, read_bytes
from bench.core.errors import ResultError
from bench.core.files import write_json
from bench.core.text import echoed
from leaderboard.history.signatures import check_signature
from leaderboard.metrics import SENSITIVITIES, Metrics, score_cycles
from leaderboard.results.predictions import CycleSet, align, parse_cycles, parse_predictions
from leaderboard.results.schema import (
    LARGEST_COUNT,
    RULES,
    SCHEMA,
    TOLERANCE,
    EpochRow,
    Kind,
    ResultDocument,
    Rule,
    judge_spec,
    kind_of,
    validate,
)

__all__ = [
    "CYCLES_FILE",
    "LARGEST_COUNT",
    "RESULT_FILE",
    "RULES",
    "SCHEMA",
    "EpochRow",
    "Kind",
    "ResultDocument",
    "Rule",
    "RunResult",
    "kind_of",
    "load_result",
    "read_result",
    "submission_id",
    "validate",
    "write_result",
]

RESULT_FILE = "result.json"
CYCLES_FILE = "test-cycles.csv"

ICBHI_PATIENTS = frozenset(map(str, range(101, 227)))
"""The patients of ICBHI 2017: a result of that set is judged on their cycles."""

ReadFile = Callable[[str], bytes]
"""Gives the content of a file of a run by its name; raises ResultError."""


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
    check_values(document, str(path))
    _load(validate(document, str(path)), lambda name: read_bytes(folder / name), str(path))
    write_json(path, document)
    return path


def read_result(folder: Path) -> RunResult:
    """Read a run folder and recompute its metrics.

    Raises:
        ResultError: If a file is missing or broken, the folder is that of another run, or a stored metric differs
            from the predictions by more than 1e-9; the rule and both numbers are named.
    """
    path = folder / RESULT_FILE
    result = load_result(lambda name: read_bytes(folder / name), str(path))
    run_id = result.document["run_id"]
    if re.fullmatch(r"[0-9a-f]{16}", folder.name) and folder.name != run_id:
        raise ResultError(f"{path} is the result of the run {run_id}.", "Move it into a folder of that name.")
    return result


def load_result(read: ReadFile, where: str) -> RunResult:
    """Read the files of a run, wherever they are, and recompute its metrics.

    Args:
        read: Gives the content of one of them by its name in a run folder.
        where: What they are, for messages.

    Raises:
        ResultError: As :func:`read_result`.
    """
    document = validate(parse_document(read(RESULT_FILE), where), where)
    judge_spec(document, where)
    return _load(document, read, where)


def _load(document: ResultDocument, read: ReadFile, where: str) -> RunResult:
    stored = {rule: metrics for rule, metrics in document["metrics"].items() if metrics is not None}
    if not stored:
        return RunResult(document)
    cycles = parse_cycles(read(CYCLES_FILE), f"{where}: {CYCLES_FILE}")
    _check_patients(document, cycles, where)
    _check_judged_set(document, cycles, where)
    scores = {rule: _scores(document, rule, cycles, read, where) for rule in stored}
    for rule, metrics in stored.items():
        _compare(metrics, score_cycles(cycles.labels, scores[rule]), f"{where}: {rule}")
    result = RunResult(document, cycles, scores)
    if kind_of(document) == "submission":
        _check_submission_id(result, where)
        check_signature(document, where)
    return result


def _scores(document: ResultDocument, rule: str, cycles: CycleSet, read: ReadFile, where: str) -> NDArray[np.float64]:
    name = document["predictions"].get(rule)
    if not name:
        raise ResultError(f"{where} has metrics but no predictions for {rule}.")
    place = f"{where}: {name}"
    scores = align(parse_predictions(read(name), place), cycles, place).scores
    if scores is None:
        raise ResultError(f"{place} holds chosen classes only, but a run stores scores.")
    return scores


def _check_patients(document: ResultDocument, cycles: CycleSet, where: str) -> None:
    """Check that a result that says ICBHI was judged on ICBHI's patients: simulated ones have other numbers."""
    if document["spec"]["dataset"] != "icbhi":
        return
    others = sorted(set(cycles.patients) - ICBHI_PATIENTS)
    if others:
        raise ResultError(
            f"{where}: dataset is 'icbhi', but {len(others)} of the judged patients are not of ICBHI, first "
            f"'{echoed(others[0])}'.",
            "The document was edited: run it again with --rerun.",
        )


def _check_judged_set(document: ResultDocument, cycles: CycleSet, where: str) -> None:
    """Check that a result was judged on the cycles, with the labels, that it says."""
    said = document.get("judged_set", cycles.hash)
    if said != cycles.hash:
        raise ResultError(
            f"{where}: judged_set is '{echoed(said)}', but {CYCLES_FILE} holds the set {cycles.hash}.",
            "The cycles or their labels were edited: run it again with --rerun.",
        )


def submission_id(spec: Mapping[str, Any], selection: str, cycles: CycleSet, scores: NDArray[Any], scored: bool) -> str:
    """The id of a submission: 16 hexadecimal characters, a hash of cycles, answers, system, selection rule and seed.

    The same answers have the same id, whatever their file's format and order.

    Args:
        spec: Names the system and its seed.
        selection: The stated selection rule.
        cycles: The test cycles.
        scores: (n, 4) scores in their order.
        scored: Whether scores were submitted, rather than classes.
    """
    stated = [cycles.hash, spec["system"], selection, spec["seed"], scored]
    digest = hashlib.sha256(json.dumps(stated).encode())
    digest.update(np.ascontiguousarray(scores[cycles.order], dtype="<f8").tobytes())
    return digest.hexdigest()[:16]


def _check_submission_id(result: RunResult, where: str) -> None:
    document, cycles = result.document, result.cycles
    assert cycles is not None
    said = document["submission"]
    rule = said["selection"]
    expected = submission_id(document["spec"], rule, cycles, result.scores[rule], said["scores"])
    if document["run_id"] != expected:
        raise ResultError(
            f"{where}: run_id is '{document['run_id']}', but that of the submitted predictions is {expected}.",
            "The document was edited: submit the predictions again.",
        )


def _compare(stored: Mapping[str, Metrics], computed: Mapping[str, Metrics], where: str) -> None:
    for judged in SENSITIVITIES:
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
