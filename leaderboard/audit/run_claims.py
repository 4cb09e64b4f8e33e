"""What is wrong with a claim about runs: printed rates against the results that are said to give them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.core.datasets import TaskCard
from bench.core.errors import ResultError
from bench.core.text import echoed
from leaderboard.audit.claim_checks import Claim, check_claimable, explain_claim, judged_in, sum_finding
from leaderboard.audit.findings import Finding
from leaderboard.audit.metric_variants import Confusion, MetricVariant, metric_variants, rate_variants
from leaderboard.audit.runs import Document, judged_task_of, run_words
from leaderboard.metrics import Sensitivity
from leaderboard.results.schema import RULES, Rule


def claim_findings(
    documents: Sequence[Document], claim: Claim, judged: Sensitivity | None = None, part: str | None = None
) -> list[Finding]:
    """Say what is wrong with a claim about runs, which should be the means over them at their last epoch.

    Args:
        documents: Results of runs that differ in the seed.
        claim: The rates as printed.
        judged: Which sensitivity the claim's Se is; None for the strictest one of the task.
        part: The tested part that the claim is of; None for the main one.

    Raises:
        ResultError: If there is nothing to compare with, or the runs are of different tasks.
        SpecError: If the task has no such part.
    """
    task = _one_task(documents)
    check_claimable(claim, task)
    judged, tested = judged_in(task, judged), task.main if part is None else task.part(part)
    by_rule = {rule: _summed_confusion(documents, rule, tested.id, task) for rule in RULES}
    rules: tuple[Rule, ...] = ("last", "best-val", "best-test")
    rule = next((rule for rule in rules if by_rule[rule] is not None), None)
    confusion = by_rule[rule] if rule else None
    if rule is None or confusion is None:
        raise ResultError("No run has numbers that a claim can be compared with.", "Leave out --claimed.")
    others = [
        found for other in RULES if other != rule for found in _rule_variants(by_rule[other], other, judged, task)
    ]
    for other_part in task.parts:
        if other_part != tested:
            own = _summed_confusion(documents, rule, other_part.id, task)
            others += (
                [] if own is None else rate_variants("other-part", f"that of the {other_part.title}", own, judged, task)
            )
    where = f"{len(documents)} runs' {rule} epochs" if len(documents) > 1 else f"the run's {rule} epoch"
    where += f" on the {tested.title}" if task.other_parts else ""
    variants = [*others, *metric_variants(confusion, judged, task=task)]
    return [*sum_finding(claim, "the claim", task), *explain_claim(claim, confusion, where, judged, variants, task)]


def _one_task(documents: Sequence[Document]) -> TaskCard:
    """The task that all results are of; raises ResultError where there are several."""
    found = [judged_task_of(document, run_words(document)) for document in documents]
    names = dict.fromkeys(f"{judged.dataset} {judged.task.id}" for judged in found)
    if len(names) > 1:
        raise ResultError(
            f"The runs are of different tasks ({', '.join(map(echoed, names))}): no claim is about all of them.",
            "Name the results of one task.",
        )
    return found[0].task


def _summed_confusion(documents: Sequence[Document], rule: str, part: str, task: TaskCard) -> Confusion | None:
    """The confusion matrices under a rule, added up: rates of runs on the same cycles are means of the runs' rates."""
    by_rules = [
        document["metrics"] if part == task.main.id else document.get("other_parts", {}).get(part, {})
        for document in documents
    ]
    found = [metrics[task.strict]["confusion"] for by_rule in by_rules if (metrics := by_rule.get(rule))]
    return np.asarray(found, dtype=np.int64).sum(axis=0) if found else None


def _rule_variants(confusion: Confusion | None, rule: str, judged: Sensitivity, task: TaskCard) -> list[MetricVariant]:
    """The rates under another rule, as what a claim may be."""
    if confusion is None:
        return []
    kind = "chosen-on-test" if rule == "best-test" else "other-rule"
    words = f"that of {rule}" + (": the test part chose the epoch" if rule == "best-test" else "")
    return rate_variants(kind, words, confusion, judged, task)
