"""What is wrong with the result of a run: ``result.json``, or the JSON of ``bench run --format json``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.errors import ResultError
from bench.core.text import echoed
from leaderboard.audit.claim_checks import Claim, explain_claim, sum_finding
from leaderboard.audit.findings import Audit, Finding
from leaderboard.audit.metric_variants import Confusion, MetricVariant, Rate, metric_variants
from leaderboard.audit.official import TEST
from leaderboard.metrics import CLASSES, SENSITIVITIES, SMALLEST_SE, Sensitivity, metrics_of
from leaderboard.results.composites import recombined_difference
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.schema import RULES, Rule
from leaderboard.results.validation import TOLERANCE

Document = Mapping[str, Any]
"""The result document of a run, or a part of it, as somebody else may have written it."""

RATES = ("sp", "se", "score")


def run_documents(document: Any) -> list[Document]:
    """Find the results of runs in a JSON document, which may be one itself or a list of them; empty where none is."""
    found = document if isinstance(document, list) else [document]
    return [item for item in found if isinstance(item, Mapping) and _is_run(item)]


def _is_run(item: Document) -> bool:
    metrics = item.get("metrics")
    return isinstance(metrics, Mapping) and isinstance(item.get("spec"), Mapping) and "run_id" in item


def audit_runs(audit: Audit, documents: Sequence[Document]) -> None:
    """Audit results of runs.

    Args:
        audit: The audit to which all that is found is added.
        documents: The results.

    Raises:
        ResultError: If the metrics of one have another form than a run's.
    """
    for document in documents:
        where = _run_words(document)
        for rule, by_judged in _metrics_by_rule(document, where):
            audit.findings.extend(_metric_findings(by_judged, f"{where}, {rule}", _is_official(document)))
            audit.facts.append(_rates_sentence(by_judged, f"{where}, {rule}"))
        audit.findings.extend(_epoch_findings(document, where))
        audit.facts.extend(_optimism_sentence(document, where))
        if document.get("status") != "finished":
            audit.unchecked.append(f"The numbers of {where}: it is {echoed(document.get('status'), 20)}.")
    audit.findings.extend(_repeated_runs(documents))


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


def _run_words(document: Document) -> str:
    seed = document["spec"].get("seed")
    return f"run {echoed(document['run_id'], 20)}" + ("" if seed is None else f" (seed {echoed(seed, 20)})")


def _is_official(document: Document) -> bool:
    spec = document["spec"]
    return spec.get("dataset") == "icbhi" and spec.get("split") == "official" and not document.get("partial")


def _metrics_by_rule(document: Document, where: str) -> Iterator[tuple[str, Document]]:
    """The metrics by selection rule, as far as there are any."""
    for rule, by_judged in document["metrics"].items():
        if by_judged is None:
            continue
        if not _has_form(by_judged):
            raise ResultError(f"{where}, {echoed(rule, 20)}: the metrics have another form than those of a run.")
        yield echoed(rule, 20), by_judged


def _has_form(by_judged: Any) -> bool:
    """Whether metrics can be looked at, whatever their numbers."""
    if not isinstance(by_judged, Mapping):
        return False
    return all(
        isinstance(metrics := by_judged.get(judged), Mapping)
        and all(_is_number(metrics.get(rate)) for rate in RATES)
        and _is_matrix(metrics.get("confusion"))
        for judged in SENSITIVITIES
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_matrix(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == len(CLASSES)
        and all(isinstance(row, list) and len(row) == len(CLASSES) for row in value)
        and all(isinstance(cell, int) and not isinstance(cell, bool) and cell >= 0 for row in value for cell in row)
        and sum(value[0]) > 0 < sum(map(sum, value[1:]))
    )


# --- numbers ----------------------------------------------------------------------------------------------------


def _metric_findings(by_judged: Document, where: str, official: bool) -> Iterator[Finding]:
    for judged in SENSITIVITIES:
        stored = by_judged[judged]
        computed = metrics_of(stored["confusion"], judged)
        for rate, value in (("sp", computed["sp"]), ("se", computed["se"]), ("score", computed["score"])):
            if abs(stored[rate] - value) > TOLERANCE:
                sentence = (
                    f"In {where} the {judged} {rate} is {stored[rate]:.4f}, but its confusion matrix gives {value:.4f}."
                )
                yield Finding("confusion-disagrees", where, sentence, {"stored": stored[rate], "computed": value})
        if stored.get("n") != computed["n"]:
            said = echoed(stored.get("n"), 20)
            sentence = f"In {where} the {judged} n is {said}, but its confusion matrix has {computed['n']:,} cycles."
            yield Finding("class-counts", where, sentence, {"n": stored.get("n"), "cycles": computed["n"]})
    if by_judged["4class"]["confusion"] != by_judged["2class"]["confusion"]:
        sentence = (
            f"In {where} the confusion matrices of 4class and 2class differ, but they are of the same predictions."
        )
        yield Finding("confusion-disagrees", where, sentence)
    totals = tuple(map(sum, by_judged["4class"]["confusion"]))
    if official and totals != TEST:
        sentence = (
            f"In {where} the test part has {_listed(totals)} cycles ({', '.join(CLASSES)}), but the official one has "
            f"{_listed(TEST)}."
        )
        yield Finding("class-counts", where, sentence, {"counts": list(totals)})


def _listed(counts: Sequence[int]) -> str:
    return ", ".join(f"{count:,}" for count in counts)


def _rates_sentence(by_judged: Document, where: str) -> str:
    strict, binary = by_judged["4class"], by_judged["2class"]
    return (
        f"{where}: Sp {strict['sp']:.2f}, Se {strict['se']:.2f}, Score {strict['score']:.2f}; 2-class Se "
        f"{binary['se']:.2f}, Score {binary['score']:.2f}."
    )


# --- epochs -----------------------------------------------------------------------------------------------------


def _metrics_by_epoch(document: Document, part: str) -> dict[int, Document]:
    """The 4-class metrics of each epoch on a part (``test`` or ``val``), where the result lists epochs."""
    found: dict[int, Document] = {}
    for row in document.get("epochs") or []:
        judged = (row.get(part) or {}).get("4class") if isinstance(row, Mapping) else None
        sound = isinstance(judged, Mapping) and _is_number(judged.get("score")) and _is_number(judged.get("se"))
        if judged is not None and sound and isinstance(row.get("epoch"), int):
            found[row["epoch"]] = judged
    return found


def _epoch_findings(document: Document, where: str) -> Iterator[Finding]:
    """Whether the epoch of each rule is the one that the rule asks for, and has the numbers that it had then."""
    test, val = _metrics_by_epoch(document, "test"), _metrics_by_epoch(document, "val")
    for rule, by_judged in document["metrics"].items():
        epoch = by_judged["4class"].get("epoch") if by_judged else None
        if not isinstance(epoch, int) or not test:
            continue
        score = by_judged["4class"]["score"]
        if epoch in test and abs(test[epoch]["score"] - score) > TOLERANCE:
            had = test[epoch]["score"]
            sentence = f"In {where} {rule} is epoch {epoch} with a Score of {score:.4f}, but that epoch had {had:.4f}."
            yield Finding("epoch-disagrees", where, sentence, {"epoch": epoch, "stored": score, "had": had})
        asked = _epoch_asked_for(rule, epoch, test, val)
        if asked is not None and asked != epoch:
            sentence = f"In {where} {rule} is epoch {epoch}, but the rule asks for epoch {asked}."
            yield Finding("rule-contradicted", where, sentence, {"rule": rule, "epoch": epoch, "asked": asked})


def _epoch_asked_for(rule: str, epoch: int, test: Mapping[int, Document], val: Mapping[int, Document]) -> int | None:
    """The epoch that a rule asks for; the given one where it is as good, None where the result does not show it."""
    if rule == "last":
        return max(test)
    rows = {"best-test": test, "best-val": val}.get(rule, {})
    # The official code takes an epoch as best only where its sensitivity is above the least one.
    able = {number: row for number, row in rows.items() if row["se"] > SMALLEST_SE} or rows
    if epoch not in able:
        return max(able, key=lambda number: float(able[number]["score"])) if able else None
    better = [number for number, row in able.items() if row["score"] > able[epoch]["score"] + TOLERANCE]
    return max(better, key=lambda number: float(able[number]["score"])) if better else epoch


def _optimism_sentence(document: Document, where: str) -> Iterator[str]:
    metrics = document["metrics"]
    best, last = metrics.get("best-test"), metrics.get("last")
    if best and last:
        gap = best["4class"]["score"] - last["4class"]["score"]
        yield f"{where}: choosing the epoch on the test part adds {gap:.2f} to the Score of the last one."


# --- claims -----------------------------------------------------------------------------------------------------


def claim_findings(documents: Sequence[Document], claim: Claim, judged: Sensitivity) -> list[Finding]:
    """Say what is wrong with a claim about runs, which should be the means over them at their last epoch.

    Args:
        documents: Results of runs that differ in the seed.
        claim: The rates as printed.
        judged: Which sensitivity the claim's Se is.

    Raises:
        ResultError: If there is nothing to compare with.
    """
    by_rule = {rule: _summed_confusion(documents, rule, judged) for rule in RULES}
    rules: tuple[Rule, ...] = ("last", "best-val", "best-test")
    rule = next((rule for rule in rules if by_rule[rule] is not None), None)
    confusion = by_rule[rule] if rule else None
    if rule is None or confusion is None:
        raise ResultError("No run has numbers that a claim can be compared with.", "Leave out --claimed.")
    others = [reading for other in RULES if other != rule for reading in _rule_variants(by_rule[other], other, judged)]
    where = f"{len(documents)} runs' {rule} epochs" if len(documents) > 1 else f"the run's {rule} epoch"
    return [
        *sum_finding(claim, "the claim"),
        *explain_claim(claim, confusion, where, judged, [*others, *metric_variants(confusion, judged)]),
    ]


def _summed_confusion(documents: Sequence[Document], rule: str, judged: Sensitivity) -> Confusion | None:
    """The confusion matrices under a rule, added up: rates of runs on the same cycles are means of the runs' rates."""
    found = [metrics[judged]["confusion"] for document in documents if (metrics := document["metrics"].get(rule))]
    return np.asarray(found, dtype=np.int64).sum(axis=0) if found else None


def _rule_variants(confusion: Confusion | None, rule: str, judged: Sensitivity) -> list[MetricVariant]:
    """The rates under another rule, as what a claim may be."""
    if confusion is None:
        return []
    found = metrics_of(confusion.tolist(), judged)
    kind = "chosen-on-test" if rule == "best-test" else "other-rule"
    words = f"that of {rule}" + (": the test part chose the epoch" if rule == "best-test" else "")
    values: tuple[tuple[Rate, float], ...] = (("sp", found["sp"]), ("se", found["se"]), ("score", found["score"]))
    return [MetricVariant(kind, rate, words, value) for rate, value in values]


# --- several runs -----------------------------------------------------------------------------------------------


def _repeated_runs(documents: Sequence[Document]) -> Iterator[Finding]:
    """Runs that differ in the seed and have the same confusion matrix: the seed changed nothing, or was not set."""
    seen: dict[str, Document] = {}
    for document in documents:
        last = document["metrics"].get("last")
        if not last:
            continue
        spec = {name: value for name, value in document["spec"].items() if name != "seed"}
        key = repr((sorted(spec.items(), key=repr), last["4class"]["confusion"]))
        first = seen.setdefault(key, document)
        if first is not document:
            sentence = (
                f"{_run_words(document)} has the confusion matrix of {_run_words(first)}, cycle count by cycle count."
            )
            yield Finding("repeated-run", _run_words(document), sentence[:1].upper() + sentence[1:])
