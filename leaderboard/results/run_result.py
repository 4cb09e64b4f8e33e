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

from bench.core.errors import ResultError
from bench.core.text import echoed
from leaderboard.history.signatures import check_signature
from leaderboard.metrics import SENSITIVITIES, Metrics, score_cycles
from leaderboard.results.predictions import CycleSet
from leaderboard.results.schema import RULES, ResultDocument, kind_of
from leaderboard.results.validation import EDITED, TOLERANCE

ICBHI_PATIENTS = frozenset(map(str, range(101, 227)))
"""The patients of ICBHI 2017: a result of that set is judged on their cycles."""


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
        stored: Mapping[str, Any] = self.document
        by_rule = {name: {rule: stored[name].get(rule) for rule in RULES} for name in ("metrics", "predictions")}
        digest = hashlib.sha256(json.dumps({**self.document, **by_rule}, sort_keys=True).encode())
        if self.cycles is not None:
            order = self.cycles.order
            cycles = self.cycles.subset(order)
            digest.update(repr((cycles.keys, cycles.labels, cycles.patients, cycles.devices)).encode())
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
    _check_judged_set(document, cycles, where)
    for rule, scores in result.scores.items():
        _compare(document["metrics"][rule] or {}, score_cycles(cycles.labels, scores), f"{where}: metrics.{rule}")
    if kind_of(document) == "submission":
        _check_submission_id(result, cycles, where)
        check_signature(document, where)


def _check_patients(document: ResultDocument, cycles: CycleSet, where: str) -> None:
    """Check that a result that says ICBHI was judged on ICBHI's patients: simulated ones have other numbers."""
    if document["spec"]["dataset"] != "icbhi":
        return
    others = sorted(set(cycles.patients) - ICBHI_PATIENTS)
    if others:
        raise ResultError(
            f"{where}: spec.dataset is 'icbhi', but {len(others)} of the judged patients are not of ICBHI, first "
            f"'{echoed(others[0])}'.",
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
        scores: (n, 4) scores in their order.
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
    for judged in SENSITIVITIES:
        said: Mapping[str, Any] = stored[judged]
        found: Mapping[str, Any] = computed[judged]
        for name in ("n", "confusion", "sp", "se", "score"):
            same = said[name] == found[name] if name == "confusion" else abs(said[name] - found[name]) <= TOLERANCE
            if not same:
                raise ResultError(
                    f"{path}.{judged}.{name} is {said[name]}, but its predictions give {found[name]}.",
                    "The files are not of one run, or were edited: run it again with --rerun.",
                )
