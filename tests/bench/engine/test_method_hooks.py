"""What a method may ask of the engine: to prepare itself, to score in its own way, to name its losses."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from plugin_files import fresh_registries
from safetensors.torch import load_file
from small_runs import SETTINGS

import bench
from bench.core.errors import InterruptedRunError, RunError, SpecError
from bench.engine import trainer
from bench.engine.batches import Batches
from bench.engine.data import open_run_data
from bench.engine.evaluate import probabilities_of
from bench.engine.graph import TrainingGraph
from bench.engine.losses import loss_to_train
from bench.engine.preparation import prepare_method
from leaderboard.results.run_folder import RunFolder

PLUGIN = Path(__file__).resolve().parents[2] / "support" / "hooked_methods.py"


@pytest.fixture(scope="module", autouse=True)
def _plugins_of_this_file_alone():
    with fresh_registries():
        yield


def run_of(method, data, cache, home, **options):
    words = {"data": data, "cache": cache, "home": home, "settings": SETTINGS, "device": "cpu", "plugins": PLUGIN}
    return bench.run("ast", method, **{"epochs": 2, **words, **options})


@pytest.fixture(scope="module")
def finished(small_data, small_cache, tmp_path_factory):
    return run_of("prepared", small_data, small_cache, tmp_path_factory.mktemp("prepared"))


def stop_at(patch, wanted):
    """Stop every run after so many steps."""
    steps, step = [], trainer.Trainer._train_step

    def stopped(self, *words):
        steps.append(1)
        if len(steps) == wanted:
            signal.raise_signal(signal.SIGTERM)
        return step(self, *words)

    patch.setattr(trainer.Trainer, "_train_step", stopped)


def prepared_calls(patch):
    """The calls of ``prepare`` from here on."""
    calls, prepare = [], trainer.prepare_method

    def heard(graph, batches):
        prepare(graph, batches)
        calls.append(graph.method.calls)

    patch.setattr(trainer, "prepare_method", heard)
    return calls


# --- prepare --------------------------------------------------------------------------------------------------------


def test_what_a_method_has_learnt_follows_from_the_training_rows_alone(finished):
    data = open_run_data(finished.spec)
    kept = load_file(RunFolder(finished.folder).method_weights_of("last"))
    model = trainer.build_graph(finished.spec, data.class_counts()).model.eval()
    expected = []
    for label in range(4):
        rows = data.train[data.bank.labels[data.train] == label]
        x = data.inputs(rows)
        with torch.no_grad():
            expected.append(float((model(x).mean(1) + x.mean((1, 2, 3))).mean()))
    np.testing.assert_allclose(kept["offsets"].numpy(), expected, rtol=1e-4, atol=1e-6)


def test_the_rows_that_a_method_sees_are_those_that_are_trained_on(finished):
    data = open_run_data(finished.spec)
    rows = Batches(finished.spec, data, trainer.build_accelerator(finished.spec, 1)).training_rows()
    batches = list(rows.batches(7))
    assert [len(labels) for _, labels in batches] == [7, 7, 7, 3]
    assert torch.equal(torch.cat([inputs for inputs, _ in batches]), data.inputs(data.train))
    assert torch.cat([labels for _, labels in batches]).tolist() == data.bank.labels[data.train].tolist()
    assert list(rows.class_counts) == data.class_counts()
    recordings = [data.recordings[name] for name, _ in data.keys(data.train)]
    assert rows.patients == tuple(recording.patient for recording in recordings)
    assert set(rows.devices) == {"Meditron"}
    assert len(rows) == len(data.train)


def test_preparing_draws_by_the_seed_and_moves_no_random_state(finished):
    data = open_run_data(finished.spec)
    drawn = []
    for before in (1, 2):
        graph = trainer.build_graph(finished.spec, data.class_counts())
        torch.manual_seed(before)
        expected = torch.rand(3)
        torch.manual_seed(before)
        prepare_method(graph, Batches(finished.spec, data, trainer.build_accelerator(finished.spec, 1)))
        assert torch.equal(torch.rand(3), expected)
        drawn.append(graph.method.drawn.item())
    assert drawn[0] == drawn[1] > 0


def test_a_run_that_goes_on_has_what_was_learnt_and_prepares_no_second_time(
    finished, small_data, small_cache, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        stop_at(patch, 2)
        calls = prepared_calls(patch)
        with pytest.raises(InterruptedRunError):
            run_of("prepared", small_data, small_cache, tmp_path)
        assert calls == [1]
    with monkeypatch.context() as patch:
        calls = prepared_calls(patch)
        gone_on = run_of("prepared", small_data, small_cache, tmp_path)
        assert calls == []
    assert gone_on.metrics == finished.metrics
    assert [epoch["loss"] for epoch in gone_on.epochs] == [epoch["loss"] for epoch in finished.epochs]
    assert [epoch["losses"] for epoch in gone_on.epochs] == [epoch["losses"] for epoch in finished.epochs]


# --- named losses ---------------------------------------------------------------------------------------------------


def test_the_named_losses_of_an_epoch_are_means_over_its_steps(
    finished, small_data, small_cache, tmp_path, monkeypatch
):
    steps, step = [], trainer.Trainer._train_step

    def kept(self, rows, epoch, number):
        losses = step(self, rows, epoch, number)
        steps.append((epoch, {name: value.tolist() for name, value in losses.items()}))
        return losses

    monkeypatch.setattr(trainer.Trainer, "_train_step", kept)
    run = run_of("prepared", small_data, small_cache, tmp_path)
    for row in run.epochs:
        losses = [found for epoch, found in steps if epoch == row["epoch"]]
        assert set(row["losses"]) == {"ce", "largest logit"}, "scalars alone, and not the loss itself"
        for name, value in row["losses"].items():
            assert value == pytest.approx(sum(found[name] for found in losses) / len(losses), rel=1e-12)
        assert row["losses"]["ce"] == pytest.approx(row["loss"] / 2)


def test_a_named_loss_that_is_not_finite_is_null_and_stops_nothing(small_data, small_cache, tmp_path, monkeypatch):
    step = trainer.Trainer._train_step

    def odd(self, rows, epoch, number):
        losses = step(self, rows, epoch, number)
        return {**losses, "ce": losses["ce"] * float("inf") if (epoch, number) == (1, 1) else losses["ce"]}

    monkeypatch.setattr(trainer.Trainer, "_train_step", odd)
    run = run_of("prepared", small_data, small_cache, tmp_path)
    assert [row["losses"]["ce"] is None for row in run.epochs] == [True, False]


def test_a_name_that_no_result_can_hold_is_refused_in_the_first_step(small_data, small_cache, tmp_path, monkeypatch):
    step = trainer.Trainer._train_step
    monkeypatch.setattr(trainer.Trainer, "_train_step", lambda *words: {**step(*words), "λ": torch.tensor(1.0)})
    with pytest.raises(bench.BenchError, match="names a loss 'λ'"):
        run_of("prepared", small_data, small_cache, tmp_path)


def test_more_names_than_a_result_holds_are_refused(small_data, small_cache, tmp_path, monkeypatch):
    step = trainer.Trainer._train_step

    def many(self, rows, epoch, number):
        # Twenty other ones in each step.
        names = [f"part {20 * number + place}" for place in range(20)]
        return {**step(self, rows, epoch, number), **dict.fromkeys(names, torch.tensor(1.0))}

    monkeypatch.setattr(trainer.Trainer, "_train_step", many)
    with pytest.raises(bench.BenchError, match="names 42 losses, but a result holds at most 32"):
        run_of("prepared", small_data, small_cache, tmp_path)


def test_the_board_gives_named_losses_back(finished):
    from bench.core.paths import board_location
    from leaderboard.store.store import Store

    store = Store.open(board_location(finished.folder.parents[1]))
    written = json.loads((finished.folder / "result.json").read_text())
    assert store.run(finished.id)["epochs"] == written["epochs"]
    assert store.records()[finished.id].epochs == written["epochs"]
    assert set(store.run(finished.id)) == set(written)
    assert store.import_run(finished.folder) == "same"


# --- scores ---------------------------------------------------------------------------------------------------------


def test_scores_are_divided_by_their_sum_and_keep_class_and_ratios():
    class Method:
        def scores(self, logits):
            return logits.sigmoid()

    logits = torch.randn(50, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = probabilities_of(Method())(logits)
    sigmoids = logits.sigmoid()
    torch.testing.assert_close(found.sum(1), torch.ones(50, dtype=torch.float64))
    assert torch.equal(found.argmax(1), sigmoids.argmax(1))
    torch.testing.assert_close(found[:, 1] / found[:, 0], sigmoids[:, 1] / sigmoids[:, 0])
    assert torch.equal(probabilities_of(object())(logits), logits.softmax(-1))


@pytest.mark.parametrize("value", [-0.1, float("nan")])
def test_scores_that_are_none_are_refused(value):
    class Method:
        def scores(self, logits):
            return logits.sigmoid() * 0 + value

    with pytest.raises(RunError, match="scores are negative or not finite"):
        probabilities_of(Method())(torch.zeros(2, 4))


def test_the_stored_scores_of_a_sigmoid_head_are_its_sigmoids(small_data, small_cache, tmp_path):
    run = run_of("sigmoid", small_data, small_cache, tmp_path)
    data = open_run_data(run.spec)
    with torch.no_grad():
        sigmoids = run.model()(data.inputs(data.test)).double().sigmoid()
    stored = run.predictions["last"].scores
    np.testing.assert_allclose(stored, (sigmoids / sigmoids.sum(1, keepdim=True)).numpy(), rtol=1e-5)
    assert not RunFolder(run.folder).method_weights_of("last").exists(), "it has nothing to keep"


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (
            lambda logits: logits[:, :1].sigmoid(),
            r"scores are of shape \(2, 1\), but must be a tensor of the logits' shape",
        ),
        (lambda logits: logits.sigmoid().tolist(), "scores are a list, but must be a tensor"),
        (lambda logits: logits.sigmoid() * torch.tensor([[1.0], [0.0]]), "scores of a row are 0 for every class"),
        (lambda logits: logits.sigmoid() / 0, "scores are negative or not finite"),
    ],
)
def test_scores_that_choose_no_class_are_refused(scores, message):
    method = type("Method", (), {"scores": staticmethod(scores)})()
    with pytest.raises(RunError, match=message):
        probabilities_of(method)(torch.zeros(2, 4, dtype=torch.float64))


def test_logits_that_are_not_finite_are_not_the_fault_of_scores():
    method = type("Method", (), {"scores": staticmethod(torch.sigmoid)})()
    assert probabilities_of(method)(torch.full((2, 4), float("nan"))).isnan().all()


# --- what a method does wrong ---------------------------------------------------------------------------------------


class Prepared(torch.nn.Module):
    """A method that prepares itself by a function."""

    def __init__(self, action):
        super().__init__()
        self.register_buffer("offsets", torch.zeros(4))
        self.prepare = action


def prepare(action, spec):
    """Prepare a method by an action that takes model and method; gives both."""
    data = open_run_data(spec)
    graph = trainer.build_graph(spec, data.class_counts())
    graph.method = Prepared(lambda model, rows: action(model, graph.method))
    prepare_method(graph, Batches(spec, data, trainer.build_accelerator(spec, 1)))
    return graph


def test_preparing_leaves_to_the_stages_what_is_trained(finished):
    def frozen(model, method):
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        model.train()

    graph = prepare(frozen, finished.spec)
    assert all(parameter.requires_grad for parameter in graph.model.parameters())


@pytest.mark.parametrize(
    ("action", "name"),
    [
        (lambda model, method: setattr(model, "classifier", torch.nn.Linear(16, 4)), r"model.classifier"),
        (lambda model, method: setattr(method, "offsets", torch.zeros(5)), "method.offsets"),
        (lambda model, method: method.register_buffer("more", torch.zeros(4)), "method.more"),
    ],
)
def test_what_the_optimiser_and_saved_states_would_not_know_is_refused(finished, action, name):
    with pytest.raises(SpecError, match=rf"The method prepared has replaced or made {name}\S* in `prepare`"):
        prepare(action, finished.spec)


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        (None, "no mapping with 'loss', but a NoneType"),
        ({"ce": torch.tensor(1.0)}, "no mapping with 'loss', but names ce"),
        ({"loss": torch.ones(1)}, r"'loss' is no scalar tensor, but of shape \(1,\)"),
        ({"loss": 1.0}, "'loss' is no scalar tensor, but a float"),
    ],
)
def test_losses_that_are_none_are_refused(losses, message):
    with pytest.raises(SpecError, match=message):
        TrainingGraph(torch.nn.Identity(), Returning(losses))(None, None)


def test_a_loss_without_a_gradient_is_refused():
    with pytest.raises(SpecError, match="'loss' depends on nothing that is trained"):
        loss_to_train({"loss": torch.tensor(1.0)})


class Returning(torch.nn.Module):
    """A method that returns what it is told to."""

    def __init__(self, losses):
        super().__init__()
        self.losses = losses

    def forward(self, model, batch, draw):
        return self.losses
