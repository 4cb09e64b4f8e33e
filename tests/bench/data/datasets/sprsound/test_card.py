"""The card and its files: counts that fit together, classes in the owners' order, hashes, printed results."""

from __future__ import annotations

import json
import re

import pytest

from bench.core.datasets import DATASETS
from bench.data.datasets.sprsound.card import CARD
from bench.data.datasets.sprsound.labels import EVENT_TASKS, EVENT_TYPES, RECORD_LABELS
from bench.data.datasets.sprsound.verify import COPIES
from bench.experiment.recipes import Request, recipe_fields
from leaderboard.published.results_file import printed_results

TOTALS = {"event": {"train": 6656, "inter": 1429, "intra": 1004}, "recording": {"train": 1949, "inter": 355}}
TOTALS["recording"]["intra"] = 379


def test_the_set_is_registered_with_its_tasks():
    assert DATASETS.card("sprsound") is CARD
    assert [task.id for task in CARD.tasks] == ["event-7", "event-2", "record-3", "record-5"]
    assert (CARD.primary, CARD.simulated) == (False, False)
    assert CARD.shared_patients == frozenset()


@pytest.mark.parametrize("task", CARD.tasks, ids=lambda task: task.id)
def test_each_task_has_both_parts_and_counts_that_add_up(task):
    assert [(part.id, part.patients_seen) for part in task.parts] == [("inter", False), ("intra", True)]
    assert task.score == "challenge"
    assert {part: sum(counts) for part, counts in task.counts.items()} == TOTALS[task.unit]
    assert {len(counts) for counts in task.counts.values()} == {len(task.classes)}
    assert all(re.fullmatch(r"[0-9a-f]{64}", judged) for judged in task.judged_sets)
    assert len(task.judged_sets) == 1


def test_coarse_tasks_count_what_the_fine_ones_do():
    by_id = {task.id: task.counts for task in CARD.tasks}
    for part, counts in by_id["event-7"].items():
        assert by_id["event-2"][part] == (counts[0], sum(counts[1:]))
    for part, counts in by_id["record-5"].items():
        assert by_id["record-3"][part] == (counts[0], sum(counts[1:4]), counts[4])


def test_classes_are_the_owners_words():
    for task in CARD.tasks:
        words = EVENT_TYPES if task.id in EVENT_TASKS else RECORD_LABELS
        if len(task.classes) == len(words):
            plain = [word.lower().replace(" & ", "+").replace(" ", "-") for word in words]
            assert list(task.classes) == plain


def test_poor_quality_has_no_counterpart_in_other_tasks():
    for task in CARD.tasks:
        assert dict(zip(task.classes, task.shared, strict=True)).get("poor-quality") is None
        assert task.shared[0] == "normal"


@pytest.mark.parametrize(
    ("task", "seconds"), [("event-7", 3.0), ("event-2", 3.0), ("record-3", 15.0), ("record-5", 15.0)]
)
def test_clips_are_as_long_as_what_a_task_labels(tmp_path, task, seconds):
    def clip(*settings):
        asked = Request(model="cnn6", method="ce", dataset="sprsound", task=task, cache=tmp_path, settings=settings)
        return recipe_fields(asked, "paper")["frontend_options"]["seconds"]

    assert clip() == seconds
    assert clip("frontend.seconds=5") == 5.0
    assert f"{seconds:g} s" in CARD.recipe_note


def test_files_are_those_that_are_installed():
    assert CARD.published is not None
    assert json.loads(CARD.published.read_text(encoding="utf-8"))


def test_printed_results_name_source_and_doubts_and_known_tasks():
    results = printed_results(CARD.published)
    tasks = {task.id: {part.id for part in task.parts} | {None} for task in CARD.tasks}
    assert len(results) == 16
    for result in results:
        assert result.part in tasks[result.task]
        assert result.source
        assert result.doubts.endswith(".")
        numbers = [result.sp, result.se, result.average, result.harmonic, result.score]
        assert any(number is not None for number in numbers)
        assert all(0 < number <= 100 for number in numbers if number is not None)
        assert result.consistent is not False


def test_known_relabelled_recordings_are_eight():
    found = COPIES["relabelled"]["recordings"]
    assert len(found) == 8
    assert {(labels["there"], labels["here"]) for labels in found.values()} == {("CAS", "CAS & DAS")}
