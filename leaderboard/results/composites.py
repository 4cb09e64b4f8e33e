"""Results whose predictions are those of other results, combined: composite systems, and ensembles of finished runs.

A combined result has a run folder of its own. Its predictions are made from those of its parts, selection rule by
selection rule, as far as all parts have them, and are scored as those of any run are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast

import numpy as np

from bench.core.datasets import TaskCard
from bench.core.errors import ResultError
from bench.core.files import exclusive_lock, sweep
from bench.core.text import echoed
from leaderboard.results.combinations import ROUTE, Scores, combine, unserved
from leaderboard.results.finished_parts import SAME_DATA, FinishedPart, check_parts
from leaderboard.results.inputs import INPUT_NAMES, UNDECLARED, inputs_of
from leaderboard.results.predictions import CycleSet, write_cycles, write_predictions
from leaderboard.results.run_folder import RunFolder, predictions_file
from leaderboard.results.run_result import RunResult, score_parts
from leaderboard.results.schema import RULES, SCHEMA, Part, ResultDocument, Rule, kind_of, task_of
from leaderboard.results.validation import combined_id, shown
from leaderboard.statistics.breakdown import patients_on_both_sides
from leaderboard.store.result_rows import system_hash

CombinedKind = Literal["composite", "ensemble"]

SEVERAL = "several"
"""What stands in a field of a combined spec that its parts do not share."""


@dataclass(frozen=True, eq=False)
class Combination:
    """Finished parts, and how their predictions become those of one system.

    Attributes:
        kind: ``composite`` or ``ensemble``.
        title: Name of the system.
        combination: One of :data:`leaderboard.results.combinations.COMBINATIONS`.
        parts: The parts.
        seed: Seed of the system.
    """

    kind: CombinedKind
    title: str
    combination: str
    parts: Sequence[FinishedPart]
    seed: int

    @property
    def entries(self) -> list[Part]:
        """The parts as the document names them, by name."""
        return sorted((part.entry for part in self.parts), key=lambda entry: entry["name"])

    @property
    def run_id(self) -> str:
        """Id of the combined result: a hash of kind, combination and parts, whatever their order."""
        return combined_id(self.kind, self.combination, self.entries)


def combined_result(combination: Combination, made_by: Mapping[str, Any]) -> RunResult:
    """Combine the predictions of parts and score them; nothing is written.

    Args:
        combination: The parts, and how they are combined.
        made_by: Code and packages that combine them, for the provenance.

    Raises:
        ResultError: If a part is no finished result of a run, or they were judged on different cycles or data.
    """
    check_parts(combination.parts)
    first = combination.parts[0].result
    assert first.cycles is not None
    if combination.combination == ROUTE:
        _check_served(combination, first.cycles)
    scores: dict[str, Scores] = {
        rule: _combined_scores(combination, first.cycles, rule) for rule in _shared_rules(combination.parts)
    }
    return RunResult(_document(combination, first.cycles, scores, made_by), first.cycles, scores)


def store_combined(folder: RunFolder, result: RunResult, *, anew: bool = False) -> tuple[RunResult, bool]:
    """Write a combined result into its folder, unless the same predictions are there already.

    Args:
        folder: The folder of the result.
        result: What :func:`combined_result` gave.
        anew: Write it even if it is there.

    Returns:
        The result in the folder, and whether it was written now.

    Raises:
        ResultError: If the folder holds a broken result.
        StoreError: If the folder cannot be written.
    """
    with exclusive_lock(folder.lock):
        there = folder.read() if folder.has_result() and not anew else None
        if there is not None and _has_same_predictions(there, result):
            return there, False
        sweep(folder.path, held=True)
        # The document goes first and comes last: whatever stops this, no result stands beside predictions of another.
        folder.result.unlink(missing_ok=True)
        cycles = result.cycles
        assert cycles is not None
        write_cycles(folder.cycles, cycles)
        classes = task_of(result.document).task.classes
        for rule, scores in result.scores.items():
            write_predictions(folder.predictions(rule), cycles.keys, scores, classes)
        return folder.write(result.document), True


def recombined_difference(result: RunResult, parts: Mapping[str, RunResult]) -> str | None:
    """Say in what a combined result is not what its parts give now; None where it is.

    Its predictions are compared, and what it says of itself: the systems of its parts, their data, seed and inputs.

    Args:
        result: The combined result.
        parts: The results of its parts by run id.

    Raises:
        ResultError: As :func:`combined_result`.
    """
    document = result.document
    again = combined_result(_combination_of(document, parts), {})
    if again.scores.keys() != result.scores.keys():
        return f"it has the rules {', '.join(result.scores)}, but its parts share {', '.join(again.scores)}"
    assert again.cycles is not None
    assert result.cycles is not None
    if again.cycles.hash != result.cycles.hash:
        return "its judged cycles are not those of its parts"
    for rule, scores in result.scores.items():
        if not np.allclose(again.scores[rule][again.cycles.order], scores[result.cycles.order], rtol=0.0, atol=1e-9):
            return f"its predictions under {rule} are not those that its parts give"
    return _told_otherwise(document, again.document)


def _combination_of(document: ResultDocument, parts: Mapping[str, RunResult]) -> Combination:
    """What a combined document says that it is, made of the results of its parts as they are now."""
    names = {entry["run_id"]: entry["name"] for entry in document["parts"]}
    found = [
        FinishedPart(
            entry["name"],
            parts[entry["run_id"]],
            _system_of(parts[entry["run_id"]].document["spec"], names),
            entry.get("device"),
            entry.get("default", False),
        )
        for entry in document["parts"]
    ]
    seed = min(part.document["spec"]["seed"] for part in found)
    kind = cast(CombinedKind, kind_of(document))
    return Combination(kind, document["spec"]["model"], document["spec"]["combine"], found, seed)


def _system_of(spec: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Hash of a part's spec without the seed; a start from another part counts by that part's name."""
    run_id, _, which = (spec.get("init_from") or "").partition(":")
    return system_hash({**spec, "init_from": f"part:{names[run_id]}:{which}"} if run_id in names else spec)


def _told_otherwise(document: ResultDocument, again: ResultDocument) -> str | None:
    """The first field in which a combined result says something else than its parts."""
    said, found = _by_part(document["spec"]), _by_part(again["spec"])
    for name in sorted(said.keys() | found.keys()):
        if said.get(name) != found.get(name):
            return f"its spec says {name} {shown(said.get(name))}, but its parts give {shown(found.get(name))}"
    fields: Sequence[Literal["inputs", "profile", "partial", "patients_on_both_sides"]]
    fields = ("inputs", "profile", "partial", "patients_on_both_sides")
    for field in fields:
        if document.get(field) != again.get(field):
            return f"its {field} is {shown(document.get(field))}, but its parts give {shown(again.get(field))}"
    return None


def _by_part(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A combined spec with a field for each of its parts."""
    rest = {name: value for name, value in spec.items() if name != "parts"}
    return {**rest, **{f"parts.{name}": system for name, system in spec["parts"].items()}}


def _check_served(combination: Combination, cycles: CycleSet) -> None:
    served = _served(combination)
    lost = unserved(served, cycles.devices)
    if lost:
        raise ResultError(f"No part serves the device {', '.join(map(echoed, lost))} of a judged cycle.")


def _served(combination: Combination) -> dict[str, str | None]:
    return {part.name: None if part.default else part.device for part in combination.parts}


def _shared_rules(parts: Sequence[FinishedPart]) -> list[Rule]:
    return [rule for rule in RULES if all(rule in part.result.scores for part in parts)]


# --- the combined result ----------------------------------------------------------------------------------------


def _combined_scores(combination: Combination, cycles: CycleSet, rule: str) -> Scores:
    """Combined scores (n, classes) in the order of the cycles, which each part may list in another."""
    scores = {part.name: _in_order(part.result, rule, cycles) for part in combination.parts}
    return combine(scores, combination.combination, _served(combination), cycles)


def _in_order(result: RunResult, rule: str, cycles: CycleSet) -> Scores:
    assert result.cycles is not None
    place = {key: row for row, key in enumerate(result.cycles.keys)}
    return result.scores[rule][[place[key] for key in cycles.keys]]


def _document(
    combination: Combination, cycles: CycleSet, scores: Mapping[str, Scores], made_by: Mapping[str, Any]
) -> ResultDocument:
    parts = [part.document for part in combination.parts]
    task = task_of(parts[0]).task
    judged = {rule: _judged(cycles, found, task) for rule, found in scores.items()}
    document = ResultDocument(
        schema=SCHEMA,
        kind=combination.kind,
        run_id=combination.run_id,
        status="finished",
        error=None,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        spec=_spec(combination),
        execution={},
        profile=_shared([part["profile"] for part in parts]),
        partial=parts[0]["partial"],
        metrics={**dict.fromkeys(RULES), **{rule: found[task.main.id] for rule, found in judged.items()}},
        epochs=[],
        predictions={**dict.fromkeys(RULES), **{rule: predictions_file(rule) for rule in scores}},
        provenance={**made_by, "parts": {entry["name"]: entry["run_id"] for entry in combination.entries}},
        seconds=sum(part["seconds"] or 0.0 for part in parts),
        cycles_per_second=None,
        best_above_min_se={rule: all(_is_above(part, rule) for part in parts) for rule in scores},
        judged_set=cycles.hash,
        parts=combination.entries,
        inputs=_inputs(combination),
    )
    trained_on = [patients_on_both_sides(part["spec"], part["partial"], part) for part in parts]
    if None not in trained_on:
        document["patients_on_both_sides"] = sorted(frozenset[str]().union(*filter(None, trained_on)))
    if "task" in parts[0]:
        document["task"] = parts[0]["task"]
    if task.other_parts:
        document["other_parts"] = {
            tested.id: {rule: found[tested.id] for rule, found in judged.items()} for tested in task.other_parts
        }
    return document


def _judged(cycles: CycleSet, scores: Scores, task: TaskCard) -> dict[str, Any]:
    """Metrics by tested part and sensitivity; no epoch is one of all parts."""
    return {
        part: {judged: {**values, "epoch": None} for judged, values in metrics.items()}
        for part, metrics in score_parts(cycles, scores, task).items()
    }


def _spec(combination: Combination) -> dict[str, Any]:
    """The spec of a combined result, by which the board tells systems apart: all but the seed is the same for each."""
    specs = [part.document["spec"] for part in combination.parts]
    found = {
        "model": combination.title,
        "method": combination.combination,
        "pretrain": _shared([spec["pretrain"] for spec in specs]),
        **{name: specs[0].get(name) for name in SAME_DATA if name != "task" or name in specs[0]},
        "seed": combination.seed,
        "precision": _shared([spec["precision"] for spec in specs]),
        "combine": combination.combination,
        "parts": {part.name: part.system for part in combination.parts},
    }
    return {**found, "route": _served(combination)} if combination.combination == ROUTE else found


def _shared(values: Sequence[str]) -> str:
    return values[0] if len(set(values)) == 1 else SEVERAL


def _is_above(part: ResultDocument, rule: str) -> bool:
    return part.get("best_above_min_se", {}).get(rule, True)


def _inputs(combination: Combination) -> dict[str, Any]:
    """The declared inputs of a combined result: those of its parts, the number of models, a route's device."""
    parts = [inputs_of(kind_of(part.document), part.document["spec"], part.document) for part in combination.parts]
    found = {name: _joint([part[name] for part in parts]) for name in INPUT_NAMES}
    models = [part["ensemble"] for part in parts]
    if combination.combination == ROUTE:
        # One model answers each cycle; which one, its recording device says.
        found |= {"metadata": True, "ensemble": max(models)}
    else:
        found["ensemble"] = sum(models)
    return {name: value for name, value in found.items() if value != UNDECLARED}


def _joint(values: Sequence[Any]) -> Any:
    """What is declared of all parts together: what any of them uses; open where one leaves it open."""
    if True in values:
        return True
    return values[0] if all(value == values[0] for value in values) else UNDECLARED


def _has_same_predictions(there: RunResult, result: RunResult) -> bool:
    if there.cycles is None or result.cycles is None or there.cycles.hash != result.cycles.hash:
        return False
    return there.scores.keys() == result.scores.keys() and all(
        np.array_equal(there.scores[rule][there.cycles.order], result.scores[rule][result.cycles.order])
        for rule in result.scores
    )
