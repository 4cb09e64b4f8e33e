"""Runs as long as a number of iterations, rates by iteration, and classifiers that learn faster."""

from __future__ import annotations

import math

import pytest
from small_runs import SETTINGS
from stage_plans import make_stage

import bench
from bench.engine.data import open_run_data
from bench.engine.schedule import learning_rate
from bench.engine.stages import StagePlan
from bench.engine.step import StageSteps
from bench.engine.trainer import Trainer


@pytest.fixture(scope="module")
def train(small_data, small_cache, tmp_path_factory):
    def run(**options):
        words = {"data": small_data, "cache": small_cache, "home": tmp_path_factory.mktemp("home"), "device": "cpu"}
        return bench.run("ast", "ce", **words, settings={**SETTINGS, "warmup_epochs": 0}, **options)

    return run


@pytest.fixture
def rates(monkeypatch):
    """The learning rate that each step is taken with."""
    found, take = [], StageSteps.take

    def heard(self, batch, draw, rate):
        losses = take(self, batch, draw, rate)
        found.append(([group["lr"] for group in self.optimizer.param_groups], losses["loss"].item()))
        return losses

    monkeypatch.setattr(StageSteps, "take", heard)
    return found


def test_a_run_of_iterations_cuts_its_last_epoch_short(train, rates):
    run = train(iterations=5, lr=1e-3, step_average=0.0)
    losses = [loss for _, loss in rates]
    assert len(losses) == 5, "three steps of epoch 1, two of epoch 2"
    assert [row["epoch"] for row in run.epochs] == [1, 2]
    assert run.epochs[1]["loss"] == pytest.approx(sum(losses[3:]) / 2, rel=1e-6)
    seconds = run.epochs[1]["seconds"]
    assert run.epochs[1]["cycles_per_second"] * seconds >= 16, "two batches of 8"
    assert run.document["cycles_per_second"] == pytest.approx(40 / sum(row["seconds"] for row in run.epochs))


def test_a_schedule_by_iteration_gives_each_step_its_own_rate(train, rates):
    train(iterations=5, schedule_unit="iteration", lr=1e-3, step_average=0.0)
    expected = [1e-6 + (1e-3 - 1e-6) * (1 + math.cos(math.pi * place / 5)) / 2 for place in range(1, 6)]
    assert [groups for groups, _ in rates] == [[pytest.approx(rate)] for rate in expected]


def test_a_schedule_by_epoch_gives_all_steps_of_an_epoch_one_rate(train, rates):
    run = train(epochs=2, lr=1e-3, step_average=0.0)
    assert [groups[0] for groups, _ in rates] == [row["lr"] for row in run.epochs for _ in range(3)]
    assert run.epochs[0]["lr"] == learning_rate(1e-3, run.spec.schedule, 1)


def test_parts_learn_at_rates_of_their_own(train, rates):
    run = train(epochs=1, lr=1e-3, classifier_rate=10.0, step_average=0.5)
    assert rates[0][0] == [pytest.approx(run.epochs[0]["lr"] / 2), pytest.approx(5 * run.epochs[0]["lr"])]


def test_a_run_of_iterations_that_was_stopped_goes_on(small_data, small_cache, tmp_path):
    from bench.core.errors import InterruptedRunError
    from bench.engine.listeners import Listener, Wish

    class Stopping(Listener):
        def on_losses(self, epoch, step, losses):
            return Wish.STOP if (epoch, step) == (2, 1) else Wish.GO_ON

    words = {"data": small_data, "cache": small_cache, "device": "cpu", "settings": {**SETTINGS, "warmup_epochs": 0}}
    spec = bench.resolve("ast", "ce", iterations=5, schedule_unit="iteration", **words)
    data = open_run_data(spec)
    plain = Trainer(spec, data, tmp_path / "plain").fit()
    with pytest.raises(InterruptedRunError, match="Stopped in epoch 2, step 1 of 2"):
        Trainer(spec, data, tmp_path / "stopped", listeners=[Stopping()]).fit()
    gone_on = Trainer(spec, data, tmp_path / "stopped").fit()
    assert [row["loss"] for row in gone_on.position.epochs] == [row["loss"] for row in plain.position.epochs]


def test_stages_of_iterations_and_of_epochs_follow_one_another():
    plan = StagePlan((make_stage(iterations=25), make_stage("probe", epochs=2)), steps=10)
    assert plan.epochs == 5
    first, second = plan.at(2), plan.at(3)
    assert (first.index, first.end, [first.steps_of(epoch) for epoch in (1, 2, 3)]) == (0, 3, [10, 10, 5])
    assert (second.index, second.before, second.end) == (1, 3, 5)
    assert [second.steps_of(epoch) for epoch in (4, 5)] == [10, 10]


def test_training_on_one_device_alone(small_data, small_cache):
    words = {"data": small_data, "cache": small_cache, "device": "cpu", "settings": SETTINGS}
    spec = bench.resolve("ast", "ce", train_device="Meditron", **words)
    assert len(open_run_data(spec).train) == 24
    with pytest.raises(bench.BenchError, match="train_device is 'AKGC417L', but the training part was"):
        open_run_data(spec.changed(train_device="AKGC417L"))
