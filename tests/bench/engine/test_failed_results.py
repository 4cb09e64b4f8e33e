"""A run that failed says what it would have been judged on, as one that finished does."""

from __future__ import annotations

import pytest

from bench.core.datasets import DATASETS
from bench.core.errors import BenchError
from bench.engine.result import write_failed_result
from bench.experiment.spec import RunSpec
from leaderboard.results.run_folder import RunFolder
from leaderboard.store.store import Store
from leaderboard.tasks import task_document

OTHER_TASKS = [
    (entry.id, task.id) for entry in DATASETS for task in entry.card.tasks if task_document(entry.card, task)
]


def failed(home, **changes):
    fields = {
        "model": "cnn6",
        "model_options": {},
        "pretrain": "none",
        "method": "ce",
        "method_options": {},
        "frontend": "ast",
        "frontend_version": 1,
        "frontend_options": {},
        "data_fingerprint": "f" * 64,
        **changes,
    }
    spec = RunSpec(**fields)
    folder = RunFolder.of_run(home, spec.run_id)
    folder.path.mkdir(parents=True)
    return folder, write_failed_result(spec, folder, BenchError("The loss is nan."))


@pytest.mark.parametrize(("dataset", "task"), OTHER_TASKS)
def test_a_failed_run_names_its_task(tmp_path, dataset, task):
    folder, result = failed(tmp_path, dataset=dataset, task=task)
    card = DATASETS.card(dataset)
    assert result.document["task"] == task_document(card, card.task(task))
    store = Store.open(tmp_path)
    assert store.import_run(folder.path) == "new"
    assert store.run(folder.path.name) == folder.read().document


def test_a_failed_run_of_four_classes_names_none(tmp_path):
    _, result = failed(tmp_path, dataset=DATASETS.primary().id)
    assert "task" not in result.document
