"""Commands that know tasks: mock-run and search name theirs, report and fetch take a plug-in, help has its examples."""

from __future__ import annotations

import pytest
from plugin_files import fresh_registries
from task_boards import registered_noises
from task_runs import FIVE
from wheeze_set import FILE, enter_folder_of_page

from bench.api import mock_runs
from bench.api.exchange import EnteredSubmission
from bench.api.mock_runs import MockRun
from bench.cli.board_exchange import _print_submission


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the plug-in of docs/datasets.md, its data, and no board."""
    with fresh_registries():
        yield enter_folder_of_page(tmp_path, monkeypatch)


def test_mock_run_checks_with_the_task_that_is_named(folder, bench, monkeypatch):
    asked = []

    def checks(model, method, **options):
        asked.append((model, method, options["dataset"], options["task"], options["plugins"]))
        return MockRun(model, method, [])

    monkeypatch.setattr(mock_runs, "mock_run", checks)
    bench("mock-run", "--plugin", FILE, "--dataset", "wheezes", "--task", "wheeze-2")
    ((*_, dataset, task, (file,)),) = asked
    assert (dataset, task, file.name) == ("wheezes", "wheeze-2", FILE)
    refused = bench("mock-run", "--plugin", FILE, "--task", "wheeze-2", code=2)
    assert "--dataset ID" in refused.err


def test_mock_run_says_how_to_train_what_has_passed(folder, bench, monkeypatch):
    monkeypatch.setattr(mock_runs, "mock_run", lambda model, method, **_: MockRun(model, method, []))
    said = bench("mock-run", "--plugin", FILE, "--method", "ce")
    assert f"To train with it: bench run --plugin {FILE} --model ast --method ce --data demo\n" in said.err
    assert "To train" not in bench("mock-run", "--method", "ce").err


def test_report_takes_the_data_set_of_a_plug_in(folder, bench):
    assert "hint" not in bench("report", "leaderbord", code=2).err
    refused = bench("report", "wheezes", code=2)
    assert "hint: A data set of your own is known with its file: --plugin FILE.py." in refused.err
    said = bench("report", "--dataset", "wheezes", "--plugin", FILE)
    assert said.out == "The board holds no run of wheezes.\n"
    assert "holds no run of wheezes yet" in said.err
    bench("report", "wheezes", "--plugin", FILE)


def test_fetch_takes_the_data_set_of_a_plug_in(folder, bench):
    refused = bench("data", "fetch", "--dataset", "wheezes", "--plugin", FILE, code=2)
    assert "The data set 'wheezes' cannot be fetched by a program." in refused.err


def test_the_plan_of_a_search_says_its_task(folder, bench):
    words = ("--model", "cnn6", "--method", "ce", "--param", "lr", "--trials", 2, "--objective", "test", "--dry-run")
    shown = bench("search", "--plugin", FILE, "--data", "folder", *words).out.splitlines()
    assert "task: wheezes, wheeze-2" in shown
    assert "study: cnn6-ce-wheezes-wheeze-2-lr-test" in shown


def test_the_help_of_search_has_its_examples(bench):
    shown = bench("search", "--help").out
    assert "bench search resume" in shown
    assert "--dataset sprsound --task event-2" in " ".join(shown.split())


def test_a_submission_marks_the_part_whose_patients_are_in_training(tmp_path, capsys):
    numbers = {"5class": {"n": 45, "sp": 1.0, "se": 2.0, "as": 3.0, "hs": 4.0, "score": 5.0}}
    stated = dict.fromkeys(EnteredSubmission.__dataclass_fields__)
    known = {"seed": 1, "remarks": [], "metrics": {part.id: numbers for part in FIVE.parts}}
    with registered_noises(tmp_path):
        entered = EnteredSubmission(**{**stated, **known, "spec": {"dataset": "noises", "task": FIVE.id}})
        _print_submission(entered, "table")
    shown = capsys.readouterr().out
    assert "intra*" in shown
    assert "inter*" not in shown
    assert "* known patients: patients seen in training." in shown
