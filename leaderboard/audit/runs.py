"""What is wrong with the result of a run: ``result.json``, or the JSON of ``bench run --format json``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.datasets import ANY_ABNORMAL, TaskCard
from bench.core.errors import RegistryError, ResultError
from bench.core.text import echoed
from leaderboard.audit.claim_checks import judged_in
from leaderboard.audit.findings import Audit, Finding
from leaderboard.audit.metric_variants import (
    RATE_NAMES,
    rates_named,
    rates_of,
)
from leaderboard.metrics import SMALLEST_SE, Sensitivity, metrics_of
from leaderboard.results.composites import recombined_difference
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.schema import task_of
from leaderboard.results.validation import TOLERANCE, check_task_form, task_faults
from leaderboard.tasks import JudgedTask

Document = Mapping[str, Any]
"""The result document of a run, or a part of it, as somebody else may have written it."""


def run_documents(document: Any) -> list[Document]:
    """Find the results of runs in a JSON document, which may be one itself or a list of them; empty where none is.

    One that does not say its data set is taken for one of the four classes, of no set that is known.
    """
    found = document if isinstance(document, list) else [document]
    runs = [item for item in found if isinstance(item, Mapping) and _is_run(item)]
    return [{**run, "spec": {"dataset": "", **run["spec"]}} for run in runs]


def _is_run(item: Document) -> bool:
    metrics = item.get("metrics")
    return isinstance(metrics, Mapping) and isinstance(item.get("spec"), Mapping) and "run_id" in item


def audit_runs(audit: Audit, documents: Sequence[Document], judged: Sensitivity | None = None) -> None:
    """Audit results of runs.

    Args:
        audit: The audit to which all that is found is added.
        documents: The results.
        judged: Which sensitivity somebody asks for; None for none.

    Raises:
        ResultError: If the metrics of one have another form than a run's.
        SpecError: If the task of one has no such sensitivity.
    """
    for document in documents:
        judged_in(judged_task_of(document, run_words(document)).task, judged)
        _audit_run(audit, document)
    audit.findings.extend(_repeated_runs(documents))


def _audit_run(audit: Audit, document: Document) -> None:
    where = run_words(document)
    judged = judged_task_of(document, where)
    for fault in task_faults(document):
        audit.findings.append(Finding("task-disagrees", where, f"In {where} {fault}"))
    for part, rule, by_judged in _metrics_of_parts(document, judged.task, where):
        place = f"{where}, {rule}" + ("" if part == judged.task.main.id else f", {echoed(part, 20)}")
        audit.findings.extend(_metric_findings(by_judged, place, judged.task))
        audit.findings.extend(_count_findings(by_judged, place, judged, part, document))
        audit.facts.append(_rates_sentence(by_judged, place, judged.task))
    audit.findings.extend(_missing_parts(document, judged.task, where))
    audit.findings.extend(_epoch_findings(document, where, judged.task))
    audit.facts.extend(_optimism_sentence(document, where, judged.task))
    if document.get("status") != "finished":
        audit.unchecked.append(f"The numbers of {where}: it is {echoed(document.get('status'), 20)}.")


def audit_folder(audit: Audit, folder: Path) -> None:
    """Recompute the numbers of a run from the predictions in its folder, where they are.

    Args:
        audit: The audit to which all that is found is added.
        folder: The run's folder, in which ``result.json`` lies.
    """
    if not RunFolder(folder).cycles.is_file():
        audit.unchecked.append("The predictions behind the numbers: they are not beside the result.")
        return
    try:
        RunFolder(folder).read()
    except ResultError as error:
        audit.findings.append(Finding("predictions-disagree", "the run folder", error.message))
    else:
        audit.facts.append("The numbers are those of the predictions in the run folder.")
        _audit_parts(audit, folder)
    audit.unchecked.append(
        "Whether its labels are the official ones: `bench audit` of its file of predictions counts with those."
    )


def _audit_parts(audit: Audit, folder: Path) -> None:
    """Combine the predictions of the parts of a composite or an ensemble again, where their folders are beside it."""
    result = RunFolder(folder).read()
    run_ids = [part["run_id"] for part in result.document.get("parts", [])]
    absent = [run_id for run_id in run_ids if not RunFolder(folder.parent / run_id).has_result()]
    if absent:
        audit.unchecked.append(f"Whether its parts give its predictions: {', '.join(absent)} are not beside it.")
    elif run_ids:
        try:
            parts = {run_id: RunFolder(folder.parent / run_id).read() for run_id in run_ids}
            differs = recombined_difference(result, parts)
        except ResultError as error:
            differs = error.message
        if differs:
            audit.findings.append(
                Finding("parts-disagree", "the run folder", f"Its parts say otherwise: {differs.rstrip('.')}.")
            )
        else:
            audit.facts.append(f"Its predictions are those of its {len(run_ids)} parts, combined again.")


def run_words(document: Document) -> str:
    """The result of a run as sentences name it: its id, and its seed where it says one."""
    seed = document["spec"].get("seed")
    return f"run {echoed(document['run_id'], 20)}" + ("" if seed is None else f" (seed {echoed(seed, 20)})")


def judged_task_of(document: Document, where: str) -> JudgedTask:
    """What a result was judged on; raises ResultError where it says so in another form than that of a run."""
    check_task_form(document, where)
    try:
        return task_of(document)
    except RegistryError as error:
        raise ResultError(f"{where}: task is none that could be judged. {error.message}") from error


def _metrics_of_parts(document: Document, task: TaskCard, where: str) -> Iterator[tuple[str, str, Document]]:
    """The metrics by tested part and selection rule, as far as there are any; the main part first."""
    others = document.get("other_parts", {})
    if not isinstance(others, Mapping) or not all(isinstance(by_rule, Mapping) for by_rule in others.values()):
        raise ResultError(f"{where}: other_parts has another form than that of a run.")
    by_part = {task.main.id: document["metrics"], **{part: others[part] for part in others if part != task.main.id}}
    for part, by_rule in by_part.items():
        for rule, by_judged in by_rule.items():
            if by_judged is None:
                continue
            if not _has_form(by_judged, task):
                place = f"{where}, {echoed(rule, 20)}" + ("" if part == task.main.id else f", {echoed(part, 20)}")
                raise ResultError(f"{place}: the metrics have another form than those of a run.")
            yield part, echoed(rule, 20), by_judged


def _missing_parts(document: Document, task: TaskCard, where: str) -> Iterator[Finding]:
    """Tested parts that lack the metrics of a rule that the main part has, and parts that the task does not test."""
    others = document.get("other_parts", {})
    rules = sorted(str(rule) for rule, metrics in document["metrics"].items() if metrics is not None)
    for part in task.other_parts:
        found = sorted(str(rule) for rule, metrics in others.get(part.id, {}).items() if metrics is not None)
        if found != rules:
            said = ", ".join(found) or "no rule"
            sentence = f"In {where} the part {part.id} has numbers of {said}, but the main part of {', '.join(rules)}."
            yield Finding("parts-missing", where, sentence, {"part": part.id})
    for name in sorted(set(map(str, others)) - {part.id for part in task.other_parts}):
        sentence = f"In {where} there are numbers of a part {echoed(name, 20)}, which the task {task.id} does not test."
        yield Finding("parts-missing", where, sentence, {"part": echoed(name, 20)})


def _has_form(by_judged: Any, task: TaskCard) -> bool:
    """Whether metrics can be looked at, whatever their numbers."""
    if not isinstance(by_judged, Mapping):
        return False
    return all(
        isinstance(metrics := by_judged.get(judged), Mapping)
        and all(_is_number(metrics.get(rate)) for rate in rates_named(task))
        and _is_matrix(metrics.get("confusion"), task)
        for judged in task.sensitivities
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_matrix(value: Any, task: TaskCard) -> bool:
    size = len(task.classes)
    return (
        isinstance(value, list)
        and len(value) == size
        and all(isinstance(row, list) and len(row) == size for row in value)
        and all(isinstance(cell, int) and not isinstance(cell, bool) and cell >= 0 for row in value for cell in row)
        and sum(value[0]) > 0 < sum(sum(value[number]) for number in task.abnormal)
    )


# --- numbers ----------------------------------------------------------------------------------------------------


def _metric_findings(by_judged: Document, where: str, task: TaskCard) -> Iterator[Finding]:
    """Rates and numbers of cycles that do not follow from the confusion matrix beside them."""
    for judged in task.sensitivities:
        stored = by_judged[judged]
        computed = metrics_of(stored["confusion"], judged, task=task)
        for rate, value in rates_of(stored["confusion"], judged, task).items():
            if abs(stored[rate] - value) > TOLERANCE:
                sentence = (
                    f"In {where} the {judged} {rate} is {stored[rate]:.4f}, but its confusion matrix gives {value:.4f}."
                )
                yield Finding("confusion-disagrees", where, sentence, {"stored": stored[rate], "computed": value})
        if stored.get("n") != computed["n"]:
            said = echoed(stored.get("n"), 20)
            sentence = f"In {where} the {judged} n is {said}, but its confusion matrix has {computed['n']:,} cycles."
            yield Finding("class-counts", where, sentence, {"n": stored.get("n"), "cycles": computed["n"]})
    if len({repr(by_judged[judged]["confusion"]) for judged in task.sensitivities}) > 1:
        names = " and ".join(task.sensitivities)
        sentence = f"In {where} the confusion matrices of {names} differ, but they are of the same predictions."
        yield Finding("confusion-disagrees", where, sentence)


def _count_findings(
    by_judged: Document, where: str, judged: JudgedTask, part: str, document: Document
) -> Iterator[Finding]:
    """Numbers of cycles by class that are not those of the official part, or of the same part under another rule."""
    task = judged.task
    totals = _totals(by_judged, task)
    is_whole = document["spec"].get("split") == "official" and not document.get("partial")
    official = task.counts.get(part) if is_whole else None
    numbers = {"counts": list(totals)}
    if official is not None:
        if totals != official:
            name = "the test part" if not task.other_parts else f"the part {part}"
            sentence = (
                f"In {where} {name} has {_listed(totals)} cycles ({', '.join(task.classes)}), but the official one has "
                f"{_listed(official)}."
            )
            yield Finding("class-counts", where, sentence, numbers)
        return
    of_rules = document["metrics"] if part == task.main.id else document["other_parts"][part]
    first = next(metrics for metrics in of_rules.values() if metrics is not None)
    if totals != _totals(first, task):
        sentence = (
            f"In {where} there are {_listed(totals)} cycles ({', '.join(task.classes)}), but under another rule the "
            f"same part has {_listed(_totals(first, task))}."
        )
        yield Finding("class-counts", where, sentence, numbers)


def _totals(by_judged: Document, task: TaskCard) -> tuple[int, ...]:
    """Cycles of each class in the confusion matrix."""
    return tuple(map(sum, by_judged[task.strict]["confusion"]))


def _listed(counts: Sequence[int]) -> str:
    return ", ".join(f"{count:,}" for count in counts)


def _rates_sentence(by_judged: Document, where: str, task: TaskCard) -> str:
    rates = ", ".join(f"{RATE_NAMES[rate]} {by_judged[task.strict][rate]:.2f}" for rate in rates_named(task))
    if task.strict == ANY_ABNORMAL:
        return f"{where}: {rates}."
    binary = by_judged[ANY_ABNORMAL]
    return f"{where}: {rates}; 2-class Se {binary['se']:.2f}, Score {binary['score']:.2f}."


# --- epochs -----------------------------------------------------------------------------------------------------


def _metrics_by_epoch(document: Document, part: str, task: TaskCard) -> dict[int, Document]:
    """The metrics by the exact class of each epoch on a part (``test`` or ``val``), where the result lists epochs."""
    found: dict[int, Document] = {}
    for row in document.get("epochs") or []:
        judged = (row.get(part) or {}).get(task.strict) if isinstance(row, Mapping) else None
        sound = isinstance(judged, Mapping) and _is_number(judged.get("score")) and _is_number(judged.get("se"))
        if judged is not None and sound and isinstance(row.get("epoch"), int):
            found[row["epoch"]] = judged
    return found


def _epoch_findings(document: Document, where: str, task: TaskCard) -> Iterator[Finding]:
    """Whether the epoch of each rule is the one that the rule asks for, and has the numbers that it had then."""
    test, val = (_metrics_by_epoch(document, part, task) for part in ("test", "val"))
    least_se = _least_se(document)
    for rule, by_judged in document["metrics"].items():
        epoch = by_judged[task.strict].get("epoch") if by_judged else None
        if not isinstance(epoch, int) or not test:
            continue
        score = by_judged[task.strict]["score"]
        if epoch in test and abs(test[epoch]["score"] - score) > TOLERANCE:
            had = test[epoch]["score"]
            sentence = f"In {where} {rule} is epoch {epoch} with a Score of {score:.4f}, but that epoch had {had:.4f}."
            yield Finding("epoch-disagrees", where, sentence, {"epoch": epoch, "stored": score, "had": had})
        asked = _epoch_asked_for(rule, epoch, test, val, least_se)
        if asked is not None and asked != epoch:
            sentence = f"In {where} {rule} is epoch {epoch}, but the rule asks for epoch {asked}."
            yield Finding("rule-contradicted", where, sentence, {"rule": rule, "epoch": epoch, "asked": asked})


def _least_se(document: Document) -> float:
    """The Se, percent, that an epoch must exceed to be the best one: the spec's, or else that of the official code."""
    said = document["spec"].get("best_min_se")
    return float(said) if _is_number(said) else SMALLEST_SE


def _epoch_asked_for(
    rule: str, epoch: int, test: Mapping[int, Document], val: Mapping[int, Document], least_se: float
) -> int | None:
    """The epoch that a rule asks for; the given one where it is as good, None where the result does not show it."""
    if rule == "last":
        return max(test)
    rows = {"best-test": test, "best-val": val}.get(rule, {})
    able = {number: row for number, row in rows.items() if row["se"] > least_se} or rows
    if epoch not in able:
        return max(able, key=lambda number: float(able[number]["score"])) if able else None
    better = [number for number, row in able.items() if row["score"] > able[epoch]["score"] + TOLERANCE]
    return max(better, key=lambda number: float(able[number]["score"])) if better else epoch


def _optimism_sentence(document: Document, where: str, task: TaskCard) -> Iterator[str]:
    metrics = document["metrics"]
    best, last = metrics.get("best-test"), metrics.get("last")
    if best and last:
        gap = best[task.strict]["score"] - last[task.strict]["score"]
        yield f"{where}: choosing the epoch on the test part adds {gap:.2f} to the Score of the last one."


# --- several runs -----------------------------------------------------------------------------------------------


def _repeated_runs(documents: Sequence[Document]) -> Iterator[Finding]:
    """Runs that differ in the seed and have the same confusion matrix: the seed changed nothing, or was not set."""
    seen: dict[str, Document] = {}
    for document in documents:
        last = document["metrics"].get("last")
        if not last:
            continue
        spec = {name: value for name, value in document["spec"].items() if name != "seed"}
        key = repr((sorted(spec.items(), key=repr), last[task_of(document).task.strict]["confusion"]))
        first = seen.setdefault(key, document)
        if first is not document:
            sentence = (
                f"{run_words(document)} has the confusion matrix of {run_words(first)}, cycle count by cycle count."
            )
            yield Finding("repeated-run", run_words(document), sentence[:1].upper() + sentence[1:])
