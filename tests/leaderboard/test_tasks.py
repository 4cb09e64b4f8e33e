"""Which task a result was judged on: the card's, or its own where a plug-in has come to mean another one by its id."""

from __future__ import annotations

from dataclasses import replace

import pytest
from plugin_files import fresh_registries

from bench.core.datasets import DATASETS, DatasetCard, TaskCard
from leaderboard.tasks import judged_task, task_document

TASK = TaskCard(id="wheeze-2", title="wheezes", classes=("normal", "wheeze"), unit="segment")
CARD = DatasetCard(id="others", title="Of others", summary="For tests.", tasks=(TASK,))
SPEC = {"dataset": "others", "task": "wheeze-2"}


def registered(task: TaskCard) -> None:
    DATASETS.add("others", replace(CARD, tasks=(task,)), "module:Reader", origin="a file", version="sha256:2")


@pytest.mark.parametrize(
    ("later", "follows_card"),
    [
        (TASK, True),
        (replace(TASK, title="wheezes, again"), True),
        (replace(TASK, classes=("normal", "crackle")), False),
        (replace(TASK, classes=("normal", "wheeze", "crackle"), shared=()), False),
        (replace(TASK, score="challenge"), False),
    ],
)
def test_a_result_keeps_its_task_where_a_plug_in_means_another_one(later, follows_card):
    told = task_document(CARD, TASK)
    with fresh_registries():
        registered(later)
        judged = judged_task(SPEC, told)
        assert (judged.card is not None) == follows_card
        assert (judged.task.classes, judged.task.score) == (TASK.classes, "mean")


def test_a_set_that_is_built_in_has_the_task_of_its_card_whatever_a_result_says():
    card = next(entry.card for entry in DATASETS if entry.version is None and len(entry.card.tasks) > 1)
    told = {**task_document(card, card.tasks[0]), "classes": ["normal", "other"], "shared": ["normal", "abnormal"]}
    assert judged_task({"dataset": card.id, "task": card.tasks[0].id}, told).task == card.tasks[0]
