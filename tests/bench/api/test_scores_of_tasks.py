"""Predictions of a data set with several tasks and tested parts: judged, written and put on a board."""

from __future__ import annotations

import numpy as np
import pytest
from sprsound_sets import write_set

import bench
from bench.api import exchange
from bench.api.boards import open_board
from bench.core.errors import ResultError, SpecError

ANSWERS = {
    ("102_9.0_1_p1_16", 0): 0,
    ("103_7.7_0_p2_17", 0): 3,
    ("103_7.7_0_p2_17", 1): 1,
    ("100_3.6_0_p1_15", 0): 5,
    ("100_3.6_0_p1_15", 1): 5,
}
"""By event, a class of event-7: right but for the second event of 103 and the first of 100."""


@pytest.fixture
def folder(tmp_path):
    """A set whose parts both have normal and abnormal events."""
    return write_set(tmp_path / "data")


def with_normal_event(folder):
    path = next(folder.rglob("100_3.6_0_p1_15.json"))
    path.write_text(path.read_text().replace("Coarse Crackle", "Normal"))


def judged(folder, answers, **options):
    return bench.score(answers, folder, dataset="sprsound", allow_partial=True, **options)


def test_each_part_is_judged_by_itself(folder):
    with_normal_event(folder)
    scores = judged(folder, ANSWERS)
    strict, either = scores.metrics["7class"], scores.metrics["2class"]
    assert (strict["sp"], strict["se"], strict["n"]) == (50.0, 100.0, 3)
    assert (either["as"], either["hs"], either["score"]) == pytest.approx((75.0, 200 / 3, (75 + 200 / 3) / 2))
    intra = scores.other_parts["intra"]["7class"]
    assert (intra["sp"], intra["se"], intra["n"]) == (0.0, 100.0, 2)
    assert np.array(intra["confusion"]).sum() == 2
    assert scores.task.id == "event-7"
    assert "of 3 events of inter: Sp 50.00" in repr(scores)


def test_devices_and_patients_are_those_of_the_main_part(folder):
    with_normal_event(folder)
    scores = judged(folder, ANSWERS)
    assert set(scores.by_patient) == {"102", "103"}
    (device,) = scores.by_device.values()
    assert device["cycles"] == 3
    assert device["7class"] == {name: scores.metrics["7class"][name] for name in ("sp", "se", "as", "hs", "score")}
    assert device["2class"]["se"] == 100.0


def test_predictions_are_written_with_the_names_of_the_classes_and_read_again(folder, tmp_path):
    with_normal_event(folder)
    scores = judged(folder, ANSWERS)
    path = scores.to_csv(tmp_path / "p.csv")
    assert path.read_text().splitlines()[0] == (
        "recording,cycle,normal,rhonchi,wheeze,stridor,coarse-crackle,fine-crackle,wheeze+crackle"
    )
    assert judged(folder, path).metrics == judged(folder, scores).metrics == scores.metrics
    with pytest.raises(ResultError):
        judged(folder, path, task="record-3")


def test_a_task_of_two_classes_has_one_way_of_judging(folder):
    with_normal_event(folder)
    scores = judged(
        folder, {key: "adventitious" if label else "normal" for key, label in ANSWERS.items()}, task="event-2"
    )
    assert list(scores.metrics) == ["2class"]
    assert list(scores.by_patient["103"]) == ["cycles", "2class"]
    assert scores.metrics["2class"]["confusion"] == [[1, 1], [0, 1]]


def test_a_submission_names_its_task(folder, tmp_path):
    with_normal_event(folder)
    path = judged(folder, ANSWERS).to_csv(tmp_path / "p.csv")
    board = open_board(tmp_path / "home")
    statement = exchange.Statement(system="mine", selection="last", seed=1)
    done = exchange.submit(board, path, statement, data=str(folder), task="event-7", allow_partial=True)
    assert (done.dataset, done.simulated, done.partial) == ("sprsound", False, "partial (7 of 2683)")
    assert done.remarks[0] == "checked against the SPRSound annotations, partial (7 of 2683): 5 test events"
    assert done.metrics["inter"]["7class"]["se"] == 100.0
    (run,) = board.store.runs()
    assert run.judged_task.task.id == "event-7"


def test_unknown_tasks_are_named(folder):
    with pytest.raises(SpecError, match="Unknown task 'event-3' of the data set sprsound"):
        judged(folder, ANSWERS, task="event-3")
