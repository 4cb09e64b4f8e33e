"""What is wrong with a file of predictions, and how a claim about them arises."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.datasets import TaskCard
from bench.core.text import echoed
from leaderboard.audit.claim_checks import Claim, check_claimable, explain_claim, judged_in, sum_finding
from leaderboard.audit.findings import Audit, Finding
from leaderboard.audit.metric_variants import (
    RATE_NAMES,
    MetricVariant,
    PartConfusions,
    metric_variants,
    rate_variants,
    rates_named,
    rates_of,
    sensitivity_name,
)
from leaderboard.audit.official import OfficialSplit
from leaderboard.metrics import Sensitivity, confusion_matrix, predicted_classes
from leaderboard.results.official_part import OfficialPart
from leaderboard.results.predictions import CycleSet, Key, class_of
from leaderboard.results.submission_checks import Difference, difference_to_part, patient_of
from leaderboard.results.submitted_predictions import SubmittedPredictions, read_submitted

SHOWN = 3
"""How many cycles a sentence names; of the others their number is said."""

MOST_TIES = 0.01
"""Share of the cycles that may have two highest scores, as numbers of few decimals have them by chance."""

Classes = NDArray[np.int64]


@dataclass(frozen=True)
class _Judged:
    """The judged cycles of the predictions: all, or those of one tested part.

    Attributes:
        task: What is judged.
        cycles: The cycles.
        labels: (n,) true classes.
        chosen: (n,) chosen classes.
    """

    task: TaskCard
    cycles: CycleSet
    labels: Classes
    chosen: Classes

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def confusion(self) -> list[list[int]]:
        return confusion_matrix(self.labels, self.chosen, len(self.task.classes))

    @property
    def is_judgeable(self) -> bool:
        """Whether there are normal and abnormal cycles, without which no rate is defined."""
        return bool((self.labels == 0).any() and np.isin(self.labels, self.task.abnormal).any())

    def at(self, places: Sequence[int] | NDArray[np.int64]) -> _Judged:
        """The cycles at some places."""
        rows = list(map(int, places))
        return _Judged(self.task, self.cycles.subset(rows), self.labels[rows], self.chosen[rows])

    def of_part(self, part: str) -> _Judged:
        """The cycles of a tested part."""
        return self.at(self.cycles.places_of(part))

    def confusions_by(self, names: Sequence[str]) -> list[list[list[int]]]:
        """The confusion matrix of each device or patient, by the name of it that each cycle has."""
        member = np.asarray(names)
        return [self.at(np.flatnonzero(member == name)).confusion for name in sorted(set(names))]


def audit_predictions(
    path: Path, part: OfficialPart, claim: Claim, split: OfficialSplit, judged: Sensitivity | None = None
) -> Audit:
    """Audit a file of predictions against the official test cycles.

    Args:
        path: The file, CSV or Parquet, as ``bench board submit`` takes it.
        part: The official test part.
        claim: What is claimed of the predictions; may be empty. It is of the part that ``split`` is seen from.
        split: The official split of the task.
        judged: Which sensitivity the claim's Se is; None for the strictest one of the task.

    Raises:
        ResultError: If the file cannot be read as predictions.
    """
    task = split.task
    check_claimable(claim, task)
    sensitivity = judged_in(task, judged)
    answers = read_submitted(path, task.classes)
    audit = Audit(str(path), "predictions")
    found = difference_to_part(answers, part)
    audit.findings.extend(_cycle_findings(found, answers, part, split))
    rows, places = _judgeable_rows(answers, part, task, shifted=found.shifted)
    cycles = part.cycles.subset(places)
    labels = np.asarray(cycles.labels, dtype=np.int64)
    every = _Judged(task, cycles, labels, _predicted_classes(answers, rows, task))
    main = every.of_part(task.main.id)
    if not main.is_judgeable:
        audit.unchecked.append("Its numbers: it answers no normal or no abnormal cycle of the test part.")
        return audit
    audit.findings.extend(_answer_findings(answers, rows, every))
    _add_numbers(audit, every, part)
    audit.findings.extend(_claim_findings(claim, sensitivity, every, part, split))
    audit.unchecked.append(
        "How the epoch was chosen and what was trained on: predictions of one epoch do not show it. The test Score of "
        "each epoch would, in a table of results."
    )
    return audit


# --- the cycles -------------------------------------------------------------------------------------------------


def _cycle_findings(
    found: Difference, answers: SubmittedPredictions, part: OfficialPart, split: OfficialSplit
) -> Iterator[Finding]:
    if found.shifted:
        sentence = (
            "The cycles of each recording are counted from 1, but count from 0, as the annotation files' lines do."
        )
        yield Finding("counted-from-1", "the column cycle", sentence)
    else:
        yield from _differing_cycles(found, answers, part, split)
    if found.twice:
        yield _cycles_finding("duplicate-cycles", "Cycles that are answered more than once", found.twice)
    if found.not_finite:
        yield _cycles_finding("not-finite", "Cycles with a score that is not finite", found.not_finite)
    if found.wrong_classes:
        words = ", ".join(dict.fromkeys(f"'{echoed(word, 20)}'" for _, word in found.wrong_classes[:SHOWN]))
        classes = split.task.classes
        what = f"Cycles with a class that is none of 0 to {len(classes) - 1} or {', '.join(classes)} but {words}"
        yield _cycles_finding("unknown-class", what, [key for key, _ in found.wrong_classes])


def _differing_cycles(
    found: Difference, answers: SubmittedPredictions, part: OfficialPart, split: OfficialSplit
) -> Iterator[Finding]:
    if found.missing and found.training:
        sentence = (
            f"This looks like a random split: {found.training:,} of the {len(answers.keys):,} cycles are of training "
            f"patients, and {len(found.missing):,} of the {len(part.cycles):,} test cycles are missing."
        )
        is_whole = len(part.cycles) == sum(split.tests.values())
        size = split.split_words(None, len(answers.keys)) if is_whole else None
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


def _judgeable_rows(
    answers: SubmittedPredictions, part: OfficialPart, task: TaskCard, *, shifted: bool
) -> tuple[list[int], list[int]]:
    """Rows of the answers that can be judged, and the places of their cycles in the test part.

    Left out are cycles that are none of the test part's, that are answered twice, and answers that are none.
    """
    place = {key: number for number, key in enumerate(part.cycles.keys)}
    counted = [(recording, cycle - shifted) for recording, cycle in answers.keys]
    once = {key for key in counted if key in place} - _repeated(counted)
    rows = [row for row, key in enumerate(counted) if key in once and _is_answer(answers, row, task)]
    return rows, [place[counted[row]] for row in rows]


def _repeated(keys: Sequence[Key]) -> set[Key]:
    seen: set[Key] = set()
    return {key for key in keys if key in seen or seen.add(key)}  # type: ignore[func-returns-value]


def _is_answer(answers: SubmittedPredictions, row: int, task: TaskCard) -> bool:
    if answers.scores is not None:
        return bool(np.isfinite(answers.scores[row]).all())
    return class_of((answers.words or ())[row], task.classes) is not None


def _predicted_classes(answers: SubmittedPredictions, rows: Sequence[int], task: TaskCard) -> Classes:
    if answers.scores is not None:
        return predicted_classes(answers.scores[list(rows)], len(task.classes))
    return np.asarray([class_of((answers.words or ())[row], task.classes) for row in rows], dtype=np.int64)


# --- the answers ------------------------------------------------------------------------------------------------


def _every_answer(judged: _Judged) -> str:
    return "The one answer" if len(judged) == 1 else f"Every one of the {len(judged):,} answers"


def _answer_findings(answers: SubmittedPredictions, rows: Sequence[int], judged: _Judged) -> Iterator[Finding]:
    chosen, classes = judged.chosen, judged.task.classes
    if (judged.labels == chosen).all():
        sentence = f"{_every_answer(judged)} is the label: these are the annotations, or made from them."
        yield Finding("labels", "the answers", sentence, {"cycles": len(judged)})
    elif len(set(chosen.tolist())) == 1:
        sentence = f"{_every_answer(judged)} is the class {classes[int(chosen[0])]}."
        yield Finding("one-class", "the answers", sentence, {"class": int(chosen[0])})
    if answers.scores is None:
        return
    scores = answers.scores[list(rows)]
    ties = int(((scores == scores.max(axis=1, keepdims=True)).sum(axis=1) > 1).sum())
    if ties > len(judged) * MOST_TIES:
        sentence = (
            f"Of {len(judged):,} cycles, {ties:,} have their highest score in more than one class: the first "
            f"of these is taken ({classes[0]} before {', '.join(classes[1:])}), which the system did not choose."
        )
        yield Finding("ties", "the scores", sentence, {"cycles": ties})


def _add_numbers(audit: Audit, judged: _Judged, part: OfficialPart) -> None:
    """Say what the numbers are: of all test cycles, or of those that could be judged; each tested part by itself."""
    task = judged.task
    audit.numbers["cycles"] = len(judged)
    for tested in task.parts:
        own, whole = judged.of_part(tested.id), len(part.cycles.places_of(tested.id))
        name = f" of the {tested.title}" if task.other_parts else ""
        seen = ", whose patients were seen in training" if tested.patients_seen else ""
        of = f"all {whole:,} test cycles" if len(own) == whole else f"the {len(own):,} of {whole:,} test cycles"
        answered = "" if len(own) == whole else " that it answers"
        if not own.is_judgeable:
            audit.unchecked.append(f"The numbers{name}: it answers no normal or no abnormal cycle of it.")
            continue
        audit.facts.append(f"Of {of}{name}{answered}{seen}, from {part.source}:")
        numbers = _numbers_of(audit, own)
        if tested == task.main:
            audit.numbers.update(numbers)
        else:
            audit.numbers.setdefault("other_parts", {})[tested.id] = {"cycles": len(own), **numbers}


def _numbers_of(audit: Audit, judged: _Judged) -> dict[str, Any]:
    """The rates by sensitivity, which are also said as sentences."""
    task, confusion = judged.task, judged.confusion
    numbers: dict[str, Any] = {"confusion": confusion}
    for sensitivity in task.sensitivities:
        found = rates_of(confusion, sensitivity, task)
        rates = ", ".join(f"{RATE_NAMES[rate]} {value:.2f}" for rate, value in found.items())
        audit.facts.append(f"{sensitivity_name(sensitivity)}: {rates}.")
        numbers[sensitivity] = {rate: found[rate] for rate in rates_named(task)}
    return numbers


# --- the claim --------------------------------------------------------------------------------------------------


def _claim_findings(
    claim: Claim, sensitivity: Sensitivity, every: _Judged, part: OfficialPart, split: OfficialSplit
) -> list[Finding]:
    """What is wrong with a claim about the predictions."""
    if not claim:
        return []
    task, judged = split.task, every.of_part(split.part.id)
    confusion = judged.confusion
    groups = [
        PartConfusions("devices", judged.confusions_by(judged.cycles.devices)),
        PartConfusions("patients", judged.confusions_by(judged.cycles.patients)),
    ]
    kept = [place for place, patient in enumerate(judged.cycles.patients) if patient not in part.shared_patients]
    disjoint = judged.at(kept).confusion if len(kept) < len(judged) else None
    others = [
        *_other_part_variants(every, split, sensitivity),
        *metric_variants(confusion, sensitivity, groups, disjoint, task),
    ]
    where = f"these predictions on the {split.part.title}" if task.other_parts else "these predictions"
    return [
        *sum_finding(claim, "the claim", task),
        *explain_claim(claim, confusion, where, sensitivity, others, task),
    ]


def _other_part_variants(every: _Judged, split: OfficialSplit, sensitivity: Sensitivity) -> list[MetricVariant]:
    """The rates of other tested parts, and of all together, as what a claim may be; none where there is one part."""
    task, found = split.task, []
    for tested in task.parts:
        if tested != split.part:
            words = f"that of the {tested.title}"
            own = every.of_part(tested.id).confusion
            found += rate_variants("other-part", words, own, sensitivity, task)
    if task.other_parts:
        words = "that of all tested parts together"
        found += rate_variants("pooled-parts", words, every.confusion, sensitivity, task)
    return found
