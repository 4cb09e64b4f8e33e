"""How often the predictions of a run are read and scored between its last evaluation and its row on the board."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from bench.core.errors import ResultError
from bench.engine import result as engine_result
from bench.experiment.recipes import Request, choose_source, resolve
from bench.launch.jobs import LaunchOptions
from bench.launch.matrix.plans import MatrixPlan, PlannedRun
from bench.launch.matrix.work import run_matrix
from bench.launch.once import launch
from bench.search import finals
from leaderboard import metrics
from leaderboard.results import predictions
from leaderboard.results.run_folder import RunFolder
from leaderboard.store.store import Store

SETTINGS = "embed_dim=16 depth=1 heads=2 seconds=1.0 batch=8 specaug_probability=0.5 specaug_time_width=20".split()
RULES = ("last", "best-test")
ONCE = {"test-cycles.csv": 1, "predictions-last.csv": 1, "predictions-best-test.csv": 1, "scored": len(RULES)}
"""Each file is read once, and the predictions of each rule are scored once."""


@pytest.fixture
def spec(small_data, small_cache):
    request = Request(
        model="ast",
        method="ce",
        data=str(small_data),
        cache=small_cache,
        device="cpu",
        settings=[*SETTINGS, "epochs=2"],
    )
    return resolve(request, choose_source(request), [1])[0]


@pytest.fixture
def counted(monkeypatch):
    """Counts readings of tables by file, and scorings; those of the training are forgotten when its result comes."""
    counts = Counter()
    parse_rows, confusion_matrix, write = (
        predictions.parse_rows,
        metrics.confusion_matrix,
        engine_result.write_run_result,
    )

    def parsed(content, where, headers):
        counts[re.split(r"[ /]", where)[-1]] += 1
        return parse_rows(content, where, headers)

    def scored(labels, predicted, classes):
        counts["scored"] += 1
        return confusion_matrix(labels, predicted, classes)

    def written(*given):
        counts.clear()
        write(*given)

    monkeypatch.setattr(predictions, "parse_rows", parsed)
    monkeypatch.setattr(metrics, "confusion_matrix", scored)
    monkeypatch.setattr(engine_result, "write_run_result", written)
    return counts


def run(spec, home):
    return launch(spec, home, rerun=False)


def test_a_run_is_read_and_scored_once_on_its_way_to_the_board(spec, tmp_path, counted):
    launched = run(spec, tmp_path)
    assert counted == ONCE
    assert Store.open(tmp_path).digests() == {spec.run_id: launched.result.digest}


def test_the_launcher_of_a_group_reads_what_its_processes_wrote_once(spec, tmp_path, counted):
    run(spec.changed(processes=2), tmp_path)
    assert counted == ONCE


def test_a_finished_run_is_read_once_more_when_it_is_asked_for_again(spec, tmp_path, counted):
    run(spec, tmp_path)
    counted.clear()
    run(spec, tmp_path)
    assert counted == ONCE


@pytest.mark.parametrize("on_the_board", [True, False])
def test_a_run_of_a_matrix_that_was_done_before_is_read_once_for_the_board_that_lacks_it(
    spec, tmp_path, counted, on_the_board
):
    launch(spec, tmp_path, rerun=False, stored=on_the_board)
    counted.clear()
    plan = MatrixPlan(name="small", source="", profile="demo", runs=[PlannedRun.of(spec, "row")])
    (ended,) = run_matrix(plan, tmp_path, LaunchOptions(), rerun=False)
    assert ended.status == "done before"
    assert counted == ({} if on_the_board else ONCE)
    assert list(Store.open(tmp_path).digests()) == [spec.run_id]


def test_a_run_that_becomes_the_end_of_a_study_is_read_once(spec, tmp_path, counted):
    run(spec, tmp_path)
    counted.clear()
    final = spec.changed(study={"name": "s", "objective": "val", "role": "final"})
    finals.bring_with_study(final, tmp_path)
    assert counted == ONCE
    assert Store.open(tmp_path).run(spec.run_id)["study"] == final.study


def test_the_metrics_of_a_rule_are_those_of_its_epoch(spec, tmp_path):
    document = run(spec, tmp_path).document
    for rule in RULES:
        epoch = document["metrics"][rule]["4class"]["epoch"]
        for judged, found in document["epochs"][epoch - 1]["test"].items():
            assert document["metrics"][rule][judged] == {**found, "epoch": epoch}


def test_numbers_that_do_not_follow_from_the_predictions_are_not_kept(spec, tmp_path, monkeypatch):
    """The one reading is a check: what it refuses does not count as done, and the training is not lost."""
    write = engine_result.write_run_result

    def spoilt(spec, data, outcome, folder, processes):
        write(spec, data, outcome, folder, processes)
        path = RunFolder(Path(folder)).predictions("last")
        head, first, *lines = path.read_text().splitlines()
        values = ["0", "0", "0", "0"]
        chosen = max(range(4), key=lambda place: float(first.split(",")[2 + place]))
        values[(chosen + 1) % 4] = "1"
        path.write_text("\n".join([head, ",".join([*first.split(",")[:2], *values]), *lines]) + "\n")

    monkeypatch.setattr(engine_result, "write_run_result", spoilt)
    folder = RunFolder.of_run(tmp_path, spec.run_id)
    with pytest.raises(ResultError, match=r"metrics\.last\.4class\.confusion is .* but its predictions give"):
        run(spec, tmp_path)
    assert not folder.has_result()
    assert folder.checkpoint.is_dir()
    assert Store.open(tmp_path).runs() == []
    monkeypatch.setattr(engine_result, "write_run_result", write)
    assert run(spec, tmp_path).document["status"] == "finished"
