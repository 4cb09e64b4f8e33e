"""What is wrong with a file of predictions, and how a claim about them arises."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.text import echoed
from leaderboard.audit.claim_checks import Claim, explain_claim, sum_finding
from leaderboard.audit.findings import Audit, Finding
from leaderboard.audit.metric_variants import SENSITIVITY_NAMES, PartConfusions, metric_variants
from leaderboard.audit.official import TEST, split_words
from leaderboard.metrics import CLASSES, SENSITIVITIES, Sensitivity, confusion_matrix, metrics_of, predicted_classes
from leaderboard.results.official_part import OfficialPart
from leaderboard.results.predictions import CycleSet, Key, class_of
from leaderboard.results.submission_checks import Difference, difference_to_part, patient_of
from leaderboard.results.submitted_predictions import SubmittedPredictions, read_submitted

SHOWN = 3
"""How many cycles a sentence names; of the others their number is said."""

MOST_TIES = 0.01
"""Share of the cycles that may have two highest scores, as numbers of few decimals have them by chance."""

Classes = NDArray[np.int64]


def audit_predictions(path: Path, part: OfficialPart, claim: Claim, judged: Sensitivity = "4class") -> Audit:
    """Audit a file of predictions against the official test cycles.

    Args:
        path: The file, CSV or Parquet, as ``bench board submit`` takes it.
        part: The official test part.
        claim: What is claimed of the predictions; may be empty.
        judged: Which sensitivity the claim's Se is.

    Raises:
        ResultError: If the file cannot be read as predictions.
    """
    answers = read_submitted(path)
    audit = Audit(str(path), "predictions")
    found = difference_to_part(answers, part)
    audit.findings.extend(_cycle_findings(found, answers, part))
    rows, places = _judgeable_rows(answers, part, shifted=found.shifted)
    cycles, chosen = part.cycles.subset(places), _predicted_classes(answers, rows)
    labels = np.asarray(cycles.labels, dtype=np.int64)
    if not (labels == 0).any() or not labels.any():
        audit.unchecked.append("Its numbers: it answers no normal or no abnormal cycle of the test part.")
        return audit
    audit.findings.extend(_answer_findings(answers, rows, labels, chosen))
    confusion = confusion_matrix(labels, chosen)
    _add_numbers(audit, confusion, len(cycles), part)
    audit.findings.extend(_claim_findings(claim, judged, confusion, cycles, labels, chosen, part))
    audit.unchecked.append(
        "How the epoch was chosen and what was trained on: predictions of one epoch do not show it. The test Score of "
        "each epoch would, in a table of results."
    )
    return audit


# --- the cycles -------------------------------------------------------------------------------------------------


def _cycle_findings(found: Difference, answers: SubmittedPredictions, part: OfficialPart) -> Iterator[Finding]:
    if found.shifted:
        sentence = (
            "The cycles of each recording are counted from 1, but count from 0, as the annotation files' lines do."
        )
        yield Finding("counted-from-1", "the column cycle", sentence)
    else:
        yield from _differing_cycles(found, answers, part)
    if found.twice:
        yield _cycles_finding("duplicate-cycles", "Cycles that are answered more than once", found.twice)
    if found.not_finite:
        yield _cycles_finding("not-finite", "Cycles with a score that is not finite", found.not_finite)
    if found.wrong_classes:
        words = ", ".join(dict.fromkeys(f"'{echoed(word, 20)}'" for _, word in found.wrong_classes[:SHOWN]))
        what = f"Cycles with a class that is none of 0 to 3 or {', '.join(CLASSES)} but {words}"
        yield _cycles_finding("unknown-class", what, [key for key, _ in found.wrong_classes])


def _differing_cycles(found: Difference, answers: SubmittedPredictions, part: OfficialPart) -> Iterator[Finding]:
    if found.missing and found.training:
        sentence = (
            f"This looks like a random split: {found.training:,} of the {len(answers.keys):,} cycles are of training "
            f"patients, and {len(found.missing):,} of the {len(part.cycles):,} test cycles are missing."
        )
        size = split_words(None, len(answers.keys)) if len(part.cycles) == sum(TEST) else None
        if size is not None:
            sentence += f" By the number of its cycles it is {size}."
        numbers = {"training": found.training, "missing": len(found.missing)}
        yield Finding("random-split", "the cycles", sentence, numbers)
    elif found.missing:
        yield _cycles_finding("missing-cycles", f"Of {len(part.cycles):,} test cycles without an answer", found.missing)
    training = [key for key in found.extra if patient_of(key) in part.train_patients]
    if training and not found.missing:
        yield _cycles_finding("training-cycles", "Cycles of patients of the training part", training)
    unknown = [key for key in found.extra if patient_of(key) not in part.train_patients]
    if unknown:
        yield _cycles_finding("unknown-cycles", "Cycles that are none of the test part's", unknown)


def _cycles_finding(kind: str, what: str, keys: Sequence[Key]) -> Finding:
    named = ", ".join(f"{echoed(recording, 40)} cycle {cycle}" for recording, cycle in keys[:SHOWN])
    more = ", …" * (len(keys) > SHOWN)
    return Finding(kind, "the cycles", f"{what}: {len(keys):,} ({named}{more}).", {"cycles": len(keys)})


def _judgeable_rows(answers: SubmittedPredictions, part: OfficialPart, *, shifted: bool) -> tuple[list[int], list[int]]:
    """Rows of the answers that can be judged, and the places of their cycles in the test part.

    Left out are cycles that are none of the test part's, that are answered twice, and answers that are none.
    """
    place = {key: number for number, key in enumerate(part.cycles.keys)}
    counted = [(recording, cycle - shifted) for recording, cycle in answers.keys]
    once = {key for key in counted if key in place} - _repeated(counted)
    rows = [row for row, key in enumerate(counted) if key in once and _is_answer(answers, row)]
    return rows, [place[counted[row]] for row in rows]


def _repeated(keys: Sequence[Key]) -> set[Key]:
    seen: set[Key] = set()
    return {key for key in keys if key in seen or seen.add(key)}  # type: ignore[func-returns-value]


def _is_answer(answers: SubmittedPredictions, row: int) -> bool:
    if answers.scores is not None:
        return bool(np.isfinite(answers.scores[row]).all())
    return class_of((answers.words or ())[row]) is not None


def _predicted_classes(answers: SubmittedPredictions, rows: Sequence[int]) -> Classes:
    if answers.scores is not None:
        return predicted_classes(answers.scores[list(rows)])
    return np.asarray([class_of((answers.words or ())[row]) for row in rows], dtype=np.int64)


# --- the answers ------------------------------------------------------------------------------------------------


def _answer_findings(
    answers: SubmittedPredictions, rows: Sequence[int], labels: Classes, chosen: Classes
) -> Iterator[Finding]:
    if (labels == chosen).all():
        sentence = (
            f"Every one of the {len(labels):,} answers is the label: these are the annotations, or made from them."
        )
        yield Finding("labels", "the answers", sentence, {"cycles": len(labels)})
    elif len(set(chosen.tolist())) == 1:
        sentence = f"Every one of the {len(labels):,} answers is the class {CLASSES[int(chosen[0])]}."
        yield Finding("one-class", "the answers", sentence, {"class": int(chosen[0])})
    if answers.scores is None:
        return
    scores = answers.scores[list(rows)]
    ties = int(((scores == scores.max(axis=1, keepdims=True)).sum(axis=1) > 1).sum())
    if ties > len(labels) * MOST_TIES:
        sentence = (
            f"Of {len(labels):,} cycles, {ties:,} have their highest score in more than one class: the first "
            "of these is taken (normal before crackle, wheeze, both), which the system did not choose."
        )
        yield Finding("ties", "the scores", sentence, {"cycles": ties})


def _add_numbers(audit: Audit, confusion: list[list[int]], count: int, part: OfficialPart) -> None:
    """Say what the numbers are: of all test cycles, or of those that could be judged."""
    whole = len(part.cycles)
    of = f"all {whole:,} test cycles" if count == whole else f"the {count:,} of {whole:,} test cycles that it answers"
    audit.facts.append(f"Of {of}, from {part.source}:")
    numbers: dict[str, Any] = {"cycles": count, "confusion": confusion}
    for judged in SENSITIVITIES:
        found = metrics_of(confusion, judged)
        rates = f"Sp {found['sp']:.2f}, Se {found['se']:.2f}, Score {found['score']:.2f}"
        audit.facts.append(f"{SENSITIVITY_NAMES[judged]}: {rates}.")
        numbers[judged] = {"sp": found["sp"], "se": found["se"], "score": found["score"]}
    audit.numbers.update(numbers)


# --- the claim --------------------------------------------------------------------------------------------------


def _claim_findings(
    claim: Claim,
    judged: Sensitivity,
    confusion: list[list[int]],
    cycles: CycleSet,
    labels: Classes,
    chosen: Classes,
    part: OfficialPart,
) -> list[Finding]:
    """What is wrong with a claim about the predictions."""
    if not claim:
        return []
    groups = [
        PartConfusions("devices", _confusions_by(cycles.devices, labels, chosen)),
        PartConfusions("patients", _confusions_by(cycles.patients, labels, chosen)),
    ]
    kept = [patient not in part.shared_patients for patient in cycles.patients]
    disjoint = confusion_matrix(labels[kept], chosen[kept]) if not all(kept) else None
    others = metric_variants(confusion, judged, groups, disjoint)
    return [*sum_finding(claim, "the claim"), *explain_claim(claim, confusion, "these predictions", judged, others)]


def _confusions_by(names: Sequence[str], labels: Classes, chosen: Classes) -> list[list[list[int]]]:
    member = np.asarray(names)
    return [confusion_matrix(labels[member == name], chosen[member == name]) for name in sorted(set(names))]
