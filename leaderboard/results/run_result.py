"""A run's result with the predictions behind it, and the checks that the two agree.

Every stored metric of a selection rule is recomputed from the predictions, and a document that says something else is
refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.datasets import TaskCard
from bench.core.errors import ResultError
from bench.core.text import echoed
from leaderboard.history.signatures import check_signature
from leaderboard.metrics import Metrics, score_cycles
from leaderboard.results.predictions import CycleSet
from leaderboard.results.schema import RULES, ResultDocument, kind_of, task_of
from leaderboard.results.validation import EDITED, TOLERANCE


@dataclass(frozen=True, eq=False)
class RunResult:
    """A run's result as read and checked.

    Attributes:
        document: Its ``result.json``.
        cycles: The judged cycles; None for a failed run without predictions.
        scores: By rule, (n, classes) float64 in the order of ``cycles``.
    """

    document: ResultDocument
    cycles: CycleSet | None = None
    scores: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 over everything that the board stores of it, in whatever order its files list the cycles."""
        stored: Mapping[str, Any] = self.document
        by_rule = {name: {rule: stored[name].get(rule) for rule in RULES} for name in ("metrics", "predictions")}
        if "other_parts" in stored:
            # A rule without metrics may be null or left out.
            by_rule["other_parts"] = {
                part: {rule: metrics for rule, metrics in rules.items() if metrics is not None}
                for part, rules in stored["other_parts"].items()
            }
        digest = hashlib.sha256(json.dumps({**self.document, **by_rule}, sort_keys=True).encode())
        if self.cycles is not None:
            order = self.cycles.order
            cycles = self.cycles.subset(order)
            parts = (cycles.parts,) if cycles.parts else ()
            digest.update(repr((cycles.keys, cycles.labels, cycles.patients, cycles.devices, *parts)).encode())
            for rule in sorted(self.scores):
                digest.update(rule.encode() + np.ascontiguousarray(self.scores[rule][order], dtype="<f8").tobytes())
        return digest.hexdigest()


def check_against_predictions(result: RunResult, where: str) -> None:
    """Check that a result's document follows from its predictions.

    Args:
        result: Its document is valid, and it has scores for each rule with metrics.
        where: What it was read from, for messages.

    Raises:
        ResultError: If it was judged on other cycles than it says, a stored metric differs from the recomputed one by
            more than 1e-9 percent points, or a submission has the id or signature of other answers.
    """
    document, cycles = result.document, result.cycles
    if cycles is None:
        return
    _check_patients(document, cycles, where)
    _check_tested_parts(document, cycles, where)
    _check_judged_set(document, cycles, where)
    task = task_of(document).task
    for rule, scores in result.scores.items():
        for part, computed in score_parts(cycles, scores, task).items():
            path, stored = f"metrics.{rule}", document["metrics"][rule]
            if part != task.main.id:
                path, stored = f"other_parts.{part}.{rule}", document["other_parts"][part][rule]
            _compare(stored or {}, computed, f"{where}: {path}")
    if kind_of(document) == "submission":
        _check_submission_id(result, cycles, where)
        check_signature(document, where)


def score_parts(cycles: CycleSet, scores: NDArray[np.float64], task: TaskCard) -> dict[str, dict[str, Metrics]]:
    """Judge each tested part by itself.

    Args:
        cycles: The judged cycles of all parts.
        scores: (n, classes) scores in their order.
        task: What is judged.

    Returns:
        Metrics by part, the main one first, then by sensitivity.

    Raises:
        ResultError: If a part has no normal or no abnormal cycle.
    """
    places = {part.id: cycles.places_of(part.id) for part in task.parts}
    labels = np.asarray(cycles.labels)
    return {part: score_cycles(labels[rows], scores[rows], task) for part, rows in places.items()}


def _check_patients(document: ResultDocument, cycles: CycleSet, where: str) -> None:
    """Check that a result was judged on the patients of its data set: simulated ones have other numbers."""
    card = task_of(document).card
    if card is None or card.patients is None:
        return
    others = sorted(set(cycles.patients) - card.patients)
    if others:
        raise ResultError(
            f"{where}: spec.dataset is '{card.id}', but {len(others)} of the judged patients are not of {card.title}, "
            f"first '{echoed(others[0])}'.",
            EDITED,
        )


def _check_tested_parts(document: ResultDocument, cycles: CycleSet, where: str) -> None:
    """Check that the judged cycles are of the parts that the task tests."""
    known = [part.id for part in task_of(document).task.parts]
    wanted, found = set(known) if len(known) > 1 else set(), set(cycles.parts)
    if found != wanted:
        raise ResultError(
            f"{where}: the judged cycles are of the parts {echoed(', '.join(sorted(found))) or '(none named)'}, "
            f"but the task has {echoed(', '.join(known))}.",
            EDITED,
        )


def _check_judged_set(document: ResultDocument, cycles: CycleSet, where: str) -> None:
    """Check that a result was judged on the cycles, with the labels, that it says."""
    said = document.get("judged_set", cycles.hash)
    if said != cycles.hash:
        raise ResultError(
            f"{where}: judged_set is '{echoed(said)}', but the judged cycles are the set {cycles.hash}.",
            "The cycles or their labels were edited: run it again with --rerun.",
        )


def submission_id(spec: Mapping[str, Any], selection: str, cycles: CycleSet, scores: NDArray[Any], scored: bool) -> str:
    """The id of a submission: 16 hexadecimal characters, a hash of cycles, answers, system, selection rule and seed.

    The same answers have the same id, whatever their file's format and order.

    Args:
        spec: Names the system and its seed.
        selection: The stated selection rule.
        cycles: The test cycles.
        scores: (n, classes) scores in their order.
        scored: Whether scores were submitted, rather than classes.
    """
    stated = [cycles.hash, spec["system"], selection, spec["seed"], scored]
    digest = hashlib.sha256(json.dumps(stated).encode())
    digest.update(np.ascontiguousarray(scores[cycles.order], dtype="<f8").tobytes())
    return digest.hexdigest()[:16]


def _check_submission_id(result: RunResult, cycles: CycleSet, where: str) -> None:
    document = result.document
    said = document["submission"]
    rule = said["selection"]
    expected = submission_id(document["spec"], rule, cycles, result.scores[rule], said["scores"])
    if document["run_id"] != expected:
        raise ResultError(
            f"{where}: run_id is '{document['run_id']}', but that of the submitted predictions is {expected}.",
            "The document was edited: submit the predictions again.",
        )


def _compare(stored: Mapping[str, Metrics], computed: Mapping[str, Metrics], path: str) -> None:
    """Check stored metrics, by judged, against those that the predictions give."""
    for judged in computed:
        said: Mapping[str, Any] = stored[judged]
        found: Mapping[str, Any] = computed[judged]
        for name in ("n", "confusion", *(name for name in found if name not in ("n", "confusion"))):
            same = said[name] == found[name] if name == "confusion" else abs(said[name] - found[name]) <= TOLERANCE
            if not same:
                raise ResultError(
                    f"{path}.{judged}.{name} is {said[name]}, but its predictions give {found[name]}.",
                    "The files are not of one run, or were edited: run it again with --rerun.",
                )
