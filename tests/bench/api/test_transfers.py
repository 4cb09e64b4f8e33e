"""Runs judged on another task or data set than their own: the numbers, what is kept, and what is refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from children_sets import write_children
from safetensors.torch import load_file
from small_data import TEST
from small_runs import SETTINGS, small_run
from sprsound_sets import annotation, annotation_file

import baselines
from bench.api.run_result import Run
from bench.api.runs import run_spec
from bench.api.transfers import transfer, transfer_report
from bench.core.errors import DataError, RegistryError, ResultError, SpecError
from bench.data.bank import recording_features
from bench.data.sources import load_dataset
from bench.experiment.recipes import Request, choose_source, resolve
from leaderboard.results.predictions import read_cycles, read_predictions
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.transfer import SHARED_CLASSES, TransferFolder
from leaderboard.store.store import Store

CHILDREN = "sprsound"


@pytest.fixture(scope="module")
def children(tmp_path_factory):
    """A small set of events and recordings, in two tested parts."""
    return write_children(tmp_path_factory.mktemp("children"))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def adult(small_data, small_cache, home):
    """A run on the four classes of the simulated set."""
    return small_run(small_data, small_cache, home)


@pytest.fixture(scope="module")
def trained(children, small_cache, home):
    """Gives a run on a task of the children's set."""

    def run(task: str) -> Run:
        request = Request(
            model="ast",
            method="ce",
            cache=small_cache,
            pretrain="none",
            data=str(children),
            dataset=CHILDREN,
            task=task,
            allow_partial=True,
            device="cpu",
            settings=[f"{name}={value}" for name, value in {**SETTINGS, "batch": 4, "epochs": 1}.items()],
            fields={"method.weighted": False},
        )
        return run_spec(resolve(request, choose_source(request), [1])[0], home, rerun=False)

    return run


@pytest.fixture
def judge(children, home, small_cache):
    def judged(run, **words):
        return transfer(run, **{"data": children, "home": home, "cache": small_cache, "device": "cpu", **words})

    return judged


def expected(model, spec, folder, dataset, task, classes):
    """Probabilities of normal and abnormal of every tested cycle, one after the other, without any of the engine.

    Args:
        classes: Numbers of the abnormal classes of the task that the run was trained on.
    """
    found = {}
    for recording in load_dataset(folder, dataset, task, allow_partial=True).recordings:
        if recording.split == "train" or not recording.cycles:
            continue
        features, cycles = recording_features(recording, spec.frontend, spec.frontend_options)
        with torch.no_grad():
            scores = model.eval()(torch.as_tensor(features)[:, None]).double().softmax(1)
        for cycle, row in zip(cycles, scores, strict=True):
            normal, abnormal = row[0], row[classes].sum()
            found[cycle.recording, cycle.index] = [
                float(normal / (normal + abnormal)),
                float(abnormal / (normal + abnormal)),
            ]
    return found


def model_of(run, classes):
    """The model of a run, built by its own name with so many outputs."""
    model = baselines.create(run.spec.model, classes, **run.spec.model_options)
    model.load_state_dict(load_file(run.folder / "weights" / "last.safetensors"))
    return model


def check_probabilities(found, wanted):
    kept = dict(zip(found.transfer.cycles.keys, found.transfer.probabilities.tolist(), strict=True))
    assert kept.keys() == wanted.keys()
    assert np.array([kept[key] for key in wanted]) == pytest.approx(np.array(list(wanted.values())), abs=1e-5)


def test_four_classes_are_judged_on_events(adult, judge, children):
    found = judge(adult, dataset=CHILDREN, task="event-7", allow_partial=True)
    wanted = expected(model_of(adult, 4), adult.spec, children, CHILDREN, "event-7", [1, 2, 3])
    check_probabilities(found, wanted)
    truth = {
        (name, number): (kind != "Normal", part)
        for name, part, events in events_of_parts(children)
        for number, (_, _, kind) in enumerate(events)
    }
    for part in ("inter", "intra"):
        rows = [
            (truth[key][0], abnormal > normal) for key, (normal, abnormal) in wanted.items() if truth[key][1] == part
        ]
        matrix = [[rows.count((label, chosen)) for chosen in (False, True)] for label in (False, True)]
        assert found.metrics[part]["confusion"] == matrix
        assert found.metrics[part]["se"] == pytest.approx(100 * matrix[1][1] / sum(matrix[1]))
        assert "hs" in found.metrics[part]


def events_of_parts(folder):
    for part in ("inter", "intra"):
        for path in sorted((folder / "test_json" / f"{part}_test_json").glob("*.json")):
            events = json.loads(path.read_text())["event_annotation"]
            yield path.stem, part, [(event["start"], event["end"], event["type"]) for event in events]


def test_and_events_on_four_classes(trained, judge, small_data):
    run = trained("event-2")
    found = judge(run, dataset="demo", data=small_data)
    check_probabilities(found, expected(model_of(run, 2), run.spec, small_data, "demo", "cycle-4", [1]))
    assert set(found.transfer.cycles.patients) == set(TEST)
    assert list(found.metrics) == ["test"]
    assert "hs" not in found.metrics["test"]


def test_a_class_that_is_neither_is_left_out_on_both_sides(trained, judge, children, small_data, adult):
    run = trained("record-3")
    found = judge(run, dataset="demo", data=small_data)
    check_probabilities(found, expected(model_of(run, 3), run.spec, small_data, "demo", "cycle-4", [1]))
    there = judge(adult, dataset=CHILDREN, task="record-3", allow_partial=True)
    assert there.transfer.left_out == 1
    assert there.metrics["inter"]["n"] == 2
    assert ("103_7.7_0_p3_19", 0) in there.transfer.cycles.keys


def test_another_task_of_the_same_data_set(trained, judge, home):
    run = trained("event-2")
    found = judge(run, task="event-7", allow_partial=True)
    own = run.document["metrics"]["last"]["2class"]
    assert found.metrics["inter"]["confusion"] == own["confusion"]
    rows = transfer_report(home).rows
    assert {row["patients_seen"] for row in rows if row["run_ids"] == [run.id] and row["part"] == "intra"} == {True}
    assert not any(row["patients_seen"] for row in rows if row["trained_on"]["dataset"] == "simulated data")


def test_it_is_done_once(adult, judge, home, caplog):
    words = {"dataset": CHILDREN, "task": "event-2", "allow_partial": True}
    first, second = judge(adult, **words), judge(adult.id[:6], **words)
    assert (first.new, second.new, second.id) == (True, False, first.id)
    assert second.to_json() == first.to_json()
    again = judge(adult.folder, **words, rerun=True)
    assert again.new
    assert again.metrics == first.metrics
    other = judge(adult, **words, rule="best-test")
    assert other.id != first.id
    assert other.to_json()["rule"] == "best-test"
    assert second.folder == home / "transfers" / first.id
    kept = TransferFolder(second.folder)
    assert len(read_predictions(kept.predictions, SHARED_CLASSES).keys) == len(read_cycles(kept.cycles, ("n", "a")))
    assert first.id in repr(first)


def test_the_board_knows_nothing_of_it(adult, judge, home):
    before = [run.run_id for run in Store.open(home).runs()]
    made = judge(adult, dataset=CHILDREN, task="record-5", allow_partial=True)
    assert [run.run_id for run in Store.open(home).runs()] == before
    assert {path.name for path in (home / "runs").iterdir()} == set(before)
    with pytest.raises(ResultError):
        RunFolder(made.folder).read()


def test_the_data_of_the_training_are_not_needed(adult, judge, tmp_path, small_cache):
    """A run whose folder came from elsewhere is judged by its weights alone."""
    copy = tmp_path / "runs" / adult.id
    shutil.copytree(adult.folder, copy)
    path = copy / "spec.json"
    spec = json.loads(path.read_text())
    spec["execution"]["data"] = "/nowhere"
    path.write_text(json.dumps(spec))
    words = {"dataset": CHILDREN, "task": "event-2", "allow_partial": True}
    assert judge(adult.id, **words, home=tmp_path).metrics == judge(adult, **words).metrics


REFUSED = {
    "its own task": ({"dataset": "demo"}, SpecError, "was trained and judged on cycle-4 of demo"),
    "no other task": ({}, SpecError, "was trained and judged on cycle-4 of demo"),
    "an unknown data set": ({"dataset": "sprsond"}, RegistryError, "sprsound"),
    "an unknown task": ({"dataset": CHILDREN, "task": "evnt-2"}, SpecError, "event-2"),
    "an unknown rule": ({"dataset": CHILDREN, "rule": "lst"}, SpecError, "last"),
    "weights that are not kept": ({"dataset": CHILDREN, "rule": "best-val"}, SpecError, "keeps no weights"),
    "an incomplete set": ({"dataset": CHILDREN}, DataError, "7 of 2,683|recordings"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_judged_is_refused(adult, judge, home, name):
    words, error, said = REFUSED[name]
    before = sorted((home / "transfers").glob("*")) if (home / "transfers").is_dir() else []
    with pytest.raises(error, match=said):
        judge(adult, **words)
    assert sorted((home / "transfers").glob("*")) == before


def test_a_run_that_is_not_there_is_refused(judge):
    with pytest.raises(SpecError, match="no run 'fffff'"):
        judge("fffff", dataset=CHILDREN)


def test_a_part_that_cannot_be_judged_is_named_and_nothing_is_kept(adult, judge, children, tmp_path):
    folder = tmp_path / "children"
    shutil.copytree(children, folder)
    annotation_file(folder, "100_3.6_0_p2_18").write_text(json.dumps(annotation("CAS", [("100", "900", "Wheeze")])))
    home = tmp_path / "home"
    with pytest.raises(ResultError, match="intra-patient test holds no normal cycle"):
        judge(adult.folder, dataset=CHILDREN, allow_partial=True, data=folder, home=home)
    assert not (home / "transfers").exists()
