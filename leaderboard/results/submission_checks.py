"""Whether predictions answer the official test part, each cycle exactly once, and what is wrong where they do not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.datasets import TaskCard
from bench.core.errors import ResultError
from bench.core.text import counted_noun, echoed
from leaderboard.results.official_part import OfficialPart
from leaderboard.results.predictions import Key, class_of
from leaderboard.results.submitted_predictions import SubmittedPredictions

SHOWN = 3
"""Cycles that a refusal names; its ``difference`` holds all."""


@dataclass(frozen=True)
class Difference:
    """How predictions differ from what the test part asks for; all fields are empty where they do not.

    Attributes:
        missing: Test cycles without an answer.
        extra: Cycles that are answered and are no test cycles.
        training: How many of the extra cycles belong to training patients.
        twice: Cycles that are answered more than once.
        not_finite: Cycles with a score that is not finite.
        wrong_classes: Cycles whose class does not exist, with the text that stands there.
        shifted: Whether the file counts cycles from 1.
    """

    missing: tuple[Key, ...] = ()
    extra: tuple[Key, ...] = ()
    training: int = 0
    twice: tuple[Key, ...] = ()
    not_finite: tuple[Key, ...] = ()
    wrong_classes: tuple[tuple[Key, str], ...] = ()
    shifted: bool = False

    def __bool__(self) -> bool:
        return any((self.missing, self.extra, self.twice, self.not_finite, self.wrong_classes))


class RefusedError(ResultError):
    """Predictions that are not the official test cycles, each exactly once, with an answer that can be judged."""

    def __init__(self, message: str, hint: str | None = None, difference: Difference | None = None) -> None:
        super().__init__(message, hint)
        self.difference = difference or Difference()


@dataclass(frozen=True, eq=False)
class AcceptedPredictions:
    """Predictions that were accepted: one answer for every test cycle, in the order of the cycles.

    Attributes:
        scores: (n, classes) scores; where the file holds classes, 1 for the chosen class and 0 for the others.
        scored: Whether the file holds scores.
    """

    scores: NDArray[np.float64]
    scored: bool


def difference_to_part(answers: SubmittedPredictions, part: OfficialPart) -> Difference:
    """Find all that keeps submitted predictions from being accepted for the test part."""
    seen: dict[Key, int] = {}
    for key in answers.keys:
        seen[key] = seen.get(key, 0) + 1
    wanted = set(part.cycles.keys)
    extra = tuple(sorted(seen.keys() - wanted))
    return Difference(
        missing=tuple(key for key in sorted(wanted) if key not in seen),
        extra=extra,
        training=sum(patient_of(key) in part.train_patients for key in extra),
        twice=tuple(key for key, count in seen.items() if count > 1),
        not_finite=_not_finite(answers),
        wrong_classes=_wrong_classes(answers, part.task.classes),
        shifted=bool(extra) and {(recording, cycle - 1) for recording, cycle in seen} == wanted,
    )


def patient_of(key: Key) -> str:
    """Give the patient of a cycle, which the recording's name begins with (``101_1b1_Al_sc_Meditron``)."""
    return key[0].partition("_")[0]


def _not_finite(answers: SubmittedPredictions) -> tuple[Key, ...]:
    if answers.scores is None:
        return ()
    return tuple(answers.keys[row] for row in np.flatnonzero(~np.isfinite(answers.scores).all(axis=1)))


def _wrong_classes(answers: SubmittedPredictions, classes: Sequence[str]) -> tuple[tuple[Key, str], ...]:
    pairs = zip(answers.keys, answers.words or (), strict=False)
    return tuple((key, word) for key, word in pairs if class_of(word, classes) is None)


def check_predictions(answers: SubmittedPredictions, part: OfficialPart, path: Path | str) -> AcceptedPredictions:
    """Accept predictions that answer every test cycle exactly once, and refuse all others.

    Args:
        answers: The predictions as they were read.
        part: The test part that must be answered.
        path: The file of the predictions, or other words for what they are, for the message.

    Returns:
        The predictions in the order of the test part's cycles.

    Raises:
        RefusedError: With the exact difference.
    """
    found = difference_to_part(answers, part)
    if found:
        raise RefusedError(_sentence(found, answers, part, path), _advice(found, part), found)
    place = {key: row for row, key in enumerate(answers.keys)}
    order = [place[key] for key in part.cycles.keys]
    if answers.scores is not None:
        return AcceptedPredictions(answers.scores[order], scored=True)
    classes = part.task.classes
    chosen = np.asarray([class_of(word, classes) for word in answers.words or ()], dtype=np.int64)
    return AcceptedPredictions(np.eye(len(classes))[chosen[order]], scored=False)


def _sentence(found: Difference, answers: SubmittedPredictions, part: OfficialPart, path: Path | str) -> str:
    wrong = [f"'{echoed(word)}' for {_name(key)}" for key, word in found.wrong_classes]
    parts = [
        ("lacks {}", _counted(found.missing, "test cycle")),
        ("holds {}", _counted(found.extra, "other cycle")),
        ("answers {} more than once", _counted(found.twice, "cycle")),
        ("has scores that are not finite for {}", _counted(found.not_finite, "cycle")),
        (f"names classes other than {_class_words(part.task)} for {{}}", _listed(wrong, "cycle")),
    ]
    said = [words.format(what) for words, what in parts if what]
    sentence = f"{path} {' and '.join(filter(None, [', '.join(said[:-1]), said[-1]]))}"
    if found.shifted:
        return f"{sentence}: it counts the cycles of a recording from 1."
    if found.training and found.missing:
        return (
            f"{sentence}: {found.training:,} of your {len(answers.keys):,} cycles belong to training patients: "
            "this looks like a random split."
        )
    if found.training:
        return f"{sentence}: {found.training:,} of your {len(answers.keys):,} cycles belong to training patients."
    return f"{sentence}; the {len(part.cycles):,} test cycles must each be answered once."


def _advice(found: Difference, part: OfficialPart) -> str:
    if found.shifted:
        return "Count from 0: subtract 1 from the column cycle."
    if found.training and found.missing:
        return "Train on the official training part and predict the official test part; nothing else can be compared."
    if found.training:
        return "Submit the predictions of the test part alone."
    if part.partial is not None:
        return f"The cycles are those of {part.source}; without --allow-partial the whole set is asked for."
    return (
        "One line for each cycle: recording (file name without ending), cycle (from 0 in the annotation file), then "
        f"{','.join(part.task.classes)} or predicted."
    )


def _class_words(task: TaskCard) -> str:
    return f"0 to {len(task.classes) - 1} or {', '.join(task.classes)}"


def _counted(keys: Iterable[Key], noun: str) -> str:
    return _listed([_name(key) for key in keys], noun)


def _listed(names: Sequence[str], noun: str) -> str:
    if not names:
        return ""
    shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    return f"{counted_noun(len(names), noun)} ({shown})"


def _name(key: Key) -> str:
    return f"{echoed(key[0])} cycle {key[1]}"


def refusal_document(error: RefusedError) -> dict[str, Any]:
    """Write a refusal as a JSON document, with every cycle of the difference."""
    named = {name: value for name, value in asdict(error.difference).items() if name != "wrong_classes"}
    wrong = [[*key, word] for key, word in error.difference.wrong_classes]
    return {"accepted": False, "error": error.message, "hint": error.hint, **named, "wrong_classes": wrong}
