"""Runs that start from the weights of another run, and the weights that a run leaves for it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small_runs import SETTINGS

import bench
from bench.core.errors import BenchError, SpecError, WeightsError
from bench.core.text import echoed
from bench.engine import trainer
from bench.engine.data import open_run_data
from bench.engine.graph import build_graph
from bench.experiment.initial_runs import find_initial_run
from leaderboard.results.run_folder import RunFolder, stage_name


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def train(small_data, small_cache, home):
    def run(method="patchmix-cl", **options):
        words = {"data": small_data, "cache": small_cache, "home": home, "device": "cpu", "epochs": 1}
        return bench.run("ast", method, **{**words, "settings": SETTINGS, **options})

    return run


@pytest.fixture(scope="module")
def first(train):
    return train(epochs=2)


@pytest.fixture(scope="module")
def staged(train):
    return train("scl", settings={**SETTINGS, "method.probe_epochs": 1})


def states_of(spec):
    graph = build_graph(spec, open_run_data(spec).class_counts())
    return graph.model.state_dict(), graph.method.state_dict()


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# --- what a run leaves ------------------------------------------------------------------------------------------------


def test_a_run_keeps_what_its_method_has_learnt_beside_its_model(first):
    folder = RunFolder(first.folder)
    assert folder.kept_weights() == ["best-test", "last"]
    names = {path.name for path in folder.weights.iterdir()}
    assert names == {f"{rule}{end}.safetensors" for rule in ("best-test", "last") for end in ("", ".method")}
    with safe_open(folder.method_weights_of("last"), framework="pt") as file:
        assert file.metadata() == {"method": "patchmix-cl", "rule": "last", "run_id": first.id}
        assert "projector.linear1.weight" in set(file.keys())


def test_the_weights_at_the_end_of_a_stage_are_kept_but_for_the_last(staged):
    folder = RunFolder(staged.folder)
    assert folder.kept_weights() == ["best-test", "last", "stage-1"]
    kept, last = load_file(folder.weights_of(stage_name(1))), load_file(folder.weights_of("last"))
    moved = {name for name in kept if not torch.equal(kept[name], last[name])}
    assert moved == {name for name in kept if name.startswith("classifier.")}, "the probe trains the classifier alone"


def test_a_method_without_anything_to_keep_has_no_file(train):
    assert not RunFolder(train("ce").folder).method_weights_of("last").exists()


# --- starting from it -------------------------------------------------------------------------------------------------


def test_a_run_starts_with_the_weights_of_the_other(train, first):
    run = train(init_from=first.id[:9], seed=2)
    assert run.spec.init_from == f"{first.id}:last"
    assert run.spec.init_weights == str(first.folder)
    model, method = states_of(run.spec)
    assert equal(model, load_file(RunFolder(first.folder).weights_of("last")))
    assert equal(method, load_file(RunFolder(first.folder).method_weights_of("last")))
    assert run.id != train(seed=2).id


def test_going_on_from_a_run_equals_training_from_weights_loaded_by_hand(train, first, tmp_path, monkeypatch):
    run = train("ce", init_from=f"{first.id}:best-test")
    build = trainer.build_graph

    def by_hand(spec, counts):
        graph = build(spec, counts)
        graph.model.load_state_dict(load_file(RunFolder(first.folder).weights_of("best-test")))
        return graph

    monkeypatch.setattr(trainer, "build_graph", by_hand)
    outcome = trainer.Trainer(
        run.spec.changed(init_from=None, init_weights=None), open_run_data(run.spec), tmp_path
    ).fit()
    assert [row["loss"] for row in outcome.position.epochs] == [row["loss"] for row in run.epochs]
    monkeypatch.undo()
    assert train("ce").epochs[0]["loss"] != run.epochs[0]["loss"]


def test_another_method_takes_the_model_alone_and_a_stage_can_be_named(train, staged):
    run = train("patchmix-cl", init_from=f"{staged.folder}:stage-1")
    assert run.spec.init_from == f"{staged.id}:stage-1"
    model, method = states_of(run.spec)
    assert equal(model, load_file(RunFolder(staged.folder).weights_of("stage-1")))
    assert equal(method, states_of(run.spec.changed(init_from=None))[1])


def test_a_replayed_spec_finds_the_run_in_the_results_folder(train, first, home, tmp_path):
    from bench.api.runs import replayed_spec

    run = train(init_from=first.id, seed=2)
    document = run.spec.to_json()
    document["execution"]["init_weights"] = "/elsewhere"
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(document))
    spec = replayed_spec(path, lambda *_: True, home=home, device="cpu", cache=Path(run.spec.cache))
    assert spec.init_weights == str(first.folder)
    with pytest.raises(SpecError, match="There is no run"):
        replayed_spec(path, lambda *_: True, home=tmp_path, device="cpu", cache=Path(run.spec.cache))


# --- what cannot be started from --------------------------------------------------------------------------------------


def test_runs_that_are_not_there_are_named(first, home, tmp_path):
    with pytest.raises(SpecError, match=f"There is no run 'abc' in {home}"):
        find_initial_run("abc", home)
    with pytest.raises(SpecError, match="There is no run ''"):
        find_initial_run("", home)
    with pytest.raises(SpecError, match=f"There is no run '{echoed(tmp_path)}'"):
        find_initial_run(str(tmp_path), home)
    with pytest.raises(SpecError, match=r"keeps no weights of 'stage-3' in .*weights") as caught:
        find_initial_run(f"{first.id}:stage-3", home)
    assert caught.value.hint == "It keeps those of best-test, last."
    for run in (first.id[:8], first.folder):
        named = echoed(run)
        with pytest.raises(SpecError, match=f"Unknown weights 'best' of the run {named}: known: .*best-test"):
            find_initial_run(f"{run}:best", home)


def test_the_beginning_of_two_runs_is_no_name(first, tmp_path):
    for name in (first.id, f"{first.id[:15]}{'0' if first.id[15] != '0' else '1'}"):
        shutil.copytree(first.folder, tmp_path / "runs" / name)
    with pytest.raises(SpecError, match="is the beginning of 2 runs"):
        find_initial_run(first.id[:6], tmp_path)
    assert find_initial_run(first.id, tmp_path).name == f"{first.id}:last"


def test_a_run_that_is_not_finished_is_refused(first, tmp_path):
    folder = tmp_path / "runs" / first.id
    shutil.copytree(first.folder, folder)
    (folder / "result.json").unlink()
    with pytest.raises(SpecError, match=f"The run {first.id} is not finished"):
        find_initial_run(first.id, tmp_path)


WEIGHT = "classifier.1.weight"


def rewritten(first, folder, change):
    """A copy of a run whose weights have been changed."""
    shutil.copytree(first.folder, folder)
    path = RunFolder(folder).weights_of("last")
    metadata = {"model": "ast", "rule": "last", "run_id": first.id}
    tensors = load_file(path)
    change(metadata, tensors)
    save_file(tensors, path, metadata=metadata)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda metadata, tensors: metadata.update(run_id="0" * 16), "are of run_id 0000000000000000, but"),
        (
            lambda metadata, tensors: metadata.update(model="cnn6"),
            "are of model cnn6, but those of model ast are wanted",
        ),
        (lambda metadata, tensors: metadata.clear(), "are of run_id not said"),
        (
            lambda metadata, tensors: tensors.update({WEIGHT: torch.zeros(2, 16)}),
            f"do not fit the model: {WEIGHT} is 2x16 there, but 4x16 here",
        ),
        (lambda metadata, tensors: tensors.pop(WEIGHT), f"they lack {WEIGHT}"),
        (lambda metadata, tensors: tensors.update(more=torch.zeros(1)), "the model has no more"),
    ],
)
def test_weights_of_another_run_or_model_are_refused(first, tmp_path, change, message):
    rewritten(first, tmp_path / first.id, change)
    spec = first.spec.changed(init_from=f"{first.id}:last", init_weights=str(tmp_path / first.id), seed=3)
    with pytest.raises(WeightsError, match=message):
        states_of(spec)


def test_weights_that_are_gone_or_broken_are_named(first, tmp_path):
    spec = first.spec.changed(init_from=f"{first.id}:last", seed=3)
    with pytest.raises(WeightsError, match="does not say where its folder is"):
        states_of(spec)
    folder = tmp_path / first.id
    with pytest.raises(WeightsError, match=f"There are no weights {folder}"):
        states_of(spec.changed(init_weights=str(folder)))
    shutil.copytree(first.folder, folder)
    RunFolder(folder).weights_of("last").write_bytes(b"broken")
    with pytest.raises(WeightsError, match="cannot be read"):
        states_of(spec.changed(init_weights=str(folder)))


def test_a_model_of_another_size_is_refused_before_anything_is_trained(train, first, home):
    with pytest.raises(BenchError, match="do not fit the model"):
        train(init_from=first.id, settings={**SETTINGS, "embed_dim": 24})
