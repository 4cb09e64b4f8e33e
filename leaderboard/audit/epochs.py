"""Whether the test part chose the epoch: the chosen epochs against the Scores of all epochs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.core.text import counted_noun
from leaderboard.audit.findings import Finding
from leaderboard.audit.result_rows import ResultRow, Series

FEWEST_EPOCHS = 3
"""Epochs from which the best one says something about the choice."""

NEARLY_ALL = 0.8
"""Share of the seeds whose chosen epoch is the best on test, from which the test part is taken to have chosen."""

_ON_TEST = re.compile(r"(?<![a-z])test(?!ed)")
_LAST = re.compile(r"last|final")
_ON_VAL = re.compile(r"(?<![a-z])(val|valid|validation|dev|held.?out)(?![a-z])")


@dataclass(frozen=True)
class TrainingCourse:
    """One training: the Score on the test part after each epoch, and the epoch that was reported.

    Attributes:
        where: The line or row of the file that the training stands in.
        system: Name of the system that was trained; empty where the file does not say.
        selection: How the epoch was chosen, in the words of the file; empty where it does not say.
        chosen: The epoch whose numbers are reported.
        test: Score on the test part after each epoch, percent.
        val: Score on held-out patients after each epoch, percent.
    """

    where: str
    system: str
    selection: str
    chosen: int
    test: Series
    val: Series = ()

    @property
    def is_best_on_test(self) -> bool:
        """Whether the chosen epoch has the best Score on the test part."""
        scores = dict(self.test)
        return scores.get(self.chosen) == max(scores.values())

    @property
    def is_last(self) -> bool:
        """Whether the chosen epoch is the last one of the training."""
        return self.chosen == self.test[-1][0]


def training_courses(rows: Sequence[ResultRow]) -> list[TrainingCourse]:
    """Find the trainings in a table: a row with the Scores of all epochs, or a row for each epoch with one marked."""
    wide = [
        TrainingCourse(row.where, row.system, row.selection or "", row.epoch, row.test_scores, row.val_scores)
        for row in rows
        if row.epoch is not None and len(row.test_scores) >= FEWEST_EPOCHS
    ]
    by_run: dict[tuple[str, str | None, str], list[ResultRow]] = {}
    for row in rows:
        if row.epoch is not None and row.score is not None and row.chosen is not None:
            by_run.setdefault((row.system, row.seed, row.judged), []).append(row)
    return [*wide, *filter(None, map(_course_of_epoch_rows, by_run.values()))]


def _course_of_epoch_rows(rows: Sequence[ResultRow]) -> TrainingCourse | None:
    chosen = [row for row in rows if row.chosen and row.epoch is not None]
    series = tuple(
        sorted((row.epoch, row.score.value) for row in rows if row.epoch is not None and row.score is not None)
    )
    if len(chosen) != 1 or len(series) < FEWEST_EPOCHS:
        return None
    row = chosen[0]
    return TrainingCourse(row.where, row.system, row.selection or "", row.epoch or 0, series)


def check_epochs(courses: Sequence[TrainingCourse]) -> Iterator[Finding]:
    """Say what the trainings of a table show of the choice of epochs, system by system."""
    by_system: dict[tuple[str, str], list[TrainingCourse]] = {}
    for course in courses:
        if course.chosen in dict(course.test):
            by_system.setdefault((course.system, course.selection), []).append(course)
    for group in by_system.values():
        yield from _rule_contradictions(group)
        yield from _chosen_on_test(group)


def _rule_contradictions(courses: Sequence[TrainingCourse]) -> Iterator[Finding]:
    """Epochs that are not those of the rule that is stated."""
    for course in courses:
        words, last = course.selection.lower(), course.test[-1][0]
        if _LAST.search(words) and course.chosen != last:
            sentence = (
                f"In {course.where} the rule is '{course.selection[:40]}', but the epoch is {course.chosen} of {last}."
            )
            yield Finding("rule-contradicted", course.where, sentence, {"epoch": course.chosen, "last": last})
        val = dict(course.val)
        if _ON_VAL.search(words) and course.chosen in val and val[course.chosen] < max(val.values()):
            best = max(val, key=val.__getitem__)
            sentence = (
                f"In {course.where} the rule is '{course.selection[:40]}', but epoch {course.chosen} has a Score of "
                f"{val[course.chosen]:.2f} on held-out patients and epoch {best} has {val[best]:.2f}."
            )
            yield Finding("rule-contradicted", course.where, sentence, {"epoch": course.chosen, "best": best})


def _chosen_on_test(courses: Sequence[TrainingCourse]) -> Iterator[Finding]:
    hits = [course for course in courses if course.is_best_on_test]
    if len(hits) < len(courses) * (NEARLY_ALL if len(courses) >= 5 else 1) or all(course.is_last for course in hits):
        return
    name = f" of {courses[0].system[:40]}" if courses[0].system else ""
    # A rule that does not look at the test part hits the best of n epochs once in n times, in each training anew.
    chance = 1.0
    for course in hits:
        chance /= len(course.test)
    stated = courses[0].selection
    against = (
        f", although the rule is said to be '{stated[:40]}'" if stated and not _ON_TEST.search(stated.lower()) else ""
    )
    sentence = (
        f"In {len(hits)} of {counted_noun(len(courses), 'training')}{name} the epoch is the one with the best "
        "Score on the test part"
        f"{against}: the test part chose it (without it, once in {1 / chance:,.0f} times)."
    )
    yield Finding("chosen-on-test", courses[0].where, sentence, {"best": len(hits), "trainings": len(courses)})


def check_stated(rows: Sequence[ResultRow], courses: Sequence[TrainingCourse]) -> Iterator[Finding]:
    """Find rows that say themselves that the test part chose the epoch, and show no Scores of epochs."""
    shown = {course.where for course in courses}
    found: dict[str, list[ResultRow]] = {}
    for row in rows:
        words = (row.selection or "").lower()
        if row.where not in shown and _ON_TEST.search(words):
            found.setdefault(words, []).append(row)
    for words, group in found.items():
        places = group[0].where + (f" and {len(group) - 1} more" if len(group) > 1 else "")
        sentence = f"By its own words ('{words[:40]}') the test part chose the epoch in {places}."
        yield Finding("chosen-on-test", group[0].where, sentence, {"rows": len(group)})
