"""Per-cycle scores of a short fixed run: those of the plain form, and the same under every switch, also when resumed.

The plain form is a loop of its own: attention as three products, clean and mixed clips in two passes, convolutions in
torch's usual layout, Adam unfused, the whole state copied and averaged, evaluation without any of the project's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bench.core.errors import InterruptedRunError
from bench.engine import graph as graphs
from bench.engine.batches import random_stream
from bench.engine.evaluate import judge_cycles
from bench.engine.first_step import FirstStep, forget_accelerator
from bench.engine.listeners import Listener, Wish
from bench.engine.made_up import made_up_data, made_up_spec
from bench.engine.optim import set_learning_rate
from bench.engine.trainer import Trainer
from benchmarks.plain.graph import plain_graph
from benchmarks.plain.training import PlainTraining

ROWS, BATCH, EPOCHS, TEST = 12, 4, 2, 10
AST = {"embed_dim": 32, "depth": 2, "heads": 2, "frames": 98}
FIELDS: dict[str, Any] = {
    "batch": BATCH,
    "epochs": EPOCHS,
    "lr": 1e-3,
    "specaug_probability": 0.5,
    "specaug_time_width": 20,
    "specaug_freq_width": 12,
    "frontend_options": {"seconds": 1.0},
}
SYSTEMS = {
    "blocks, one pass": ("ast", "patchmix-cl", AST),
    "channels last": ("timm:test_efficientnet", "ce", {}),
}
SWITCHES: dict[str, dict[str, Any]] = {
    "micro-batches": {"micro_batch": 1},
    "checkpointing": {"checkpointing": True},
    "bank in memory": {"bank_on_device": "yes"},
    "bank in the file": {"bank_on_device": "no"},
    "state each epoch": {"checkpoint_minutes": 0.0},
    "state all the time": {"checkpoint_minutes": 1e-9},
    "memory given back": {"keep_memory": False},
    "deterministic": {"deterministic": True},
    "one row in evaluation": {"eval_batch": 1},
}
"""Execution fields away from their defaults. ``compile`` is tested where a compiler is asked for, ``processes`` in
``test_global_batch.py`` and ``tests/bench/launch/test_processes.py``, with micro-batches and checkpointing too."""


class Stop(Listener):
    """Stops a run after some step of its first epoch."""

    def on_losses(self, epoch: int, step: int, losses: Any) -> Wish:
        return Wish.STOP if (epoch, step) == (1, 2) else Wish.GO_ON


@pytest.fixture(autouse=True)
def no_accelerator_is_left():
    yield
    forget_accelerator()
    torch.use_deterministic_algorithms(False)


def spec_of(system, **fields):
    model, method, options = SYSTEMS[system]
    return made_up_spec(model, method, options, **{**FIELDS, **fields})


def trained(spec, folder, *listeners):
    """Scores (cycles, classes) of the test cycles after a run of the project's trainer."""
    forget_accelerator()
    data = made_up_data(spec, ROWS, TEST)
    trainer = Trainer(spec, data, folder, listeners=listeners)
    trainer.fit()
    return judge_cycles(trainer.stage.bare, data, data.test, trainer.accelerator, spec)[0]


def plainly_trained(spec):
    """The same by the plain form, on the batches and draws of the run."""
    data = made_up_data(spec, ROWS, TEST)
    first = FirstStep(spec, data)
    plain = plain_graph(first.steps.bare, spec.method)
    training = PlainTraining(plain, first.rate, spec.optim.weight_decay)
    for epoch in range(1, EPOCHS + 1):
        order = first.batches.order(epoch)
        for step in range(ROWS // BATCH):
            rng = random_stream(spec.seed, epoch, step)
            torch.manual_seed(int(rng.integers(2**63)))
            rows = first.batches.rows_of_step(order, step)
            batch = first.batches.load(rows, first.steps.place, rng)
            draw = first.method.draw(len(rows), rng)
            set_learning_rate(training.optimizer, first.steps.place.rate(epoch, step))
            training.step(lambda batch=batch, draw=draw: plain(batch, draw))
    model = (plain.both.model if spec.method == "patchmix-cl" else plain.model).eval()
    with torch.no_grad():
        return model(data.inputs(data.test)).softmax(-1).numpy()


@pytest.mark.parametrize("system", SYSTEMS)
def test_scores_of_a_short_run_are_those_of_the_plain_form(system, tmp_path, monkeypatch):
    spec = spec_of(system)
    ours = trained(spec, tmp_path)
    monkeypatch.setattr(graphs, "lay_out_pictures", lambda model, spec: None)
    plain = plainly_trained(spec)
    np.testing.assert_allclose(ours, plain, rtol=0, atol=1e-4)
    untrained = judge_untrained(spec)
    assert abs(untrained - plain).max() > 1e-3, "the run must be long enough for a difference to show"


def judge_untrained(spec):
    data = made_up_data(spec, ROWS, TEST)
    first = FirstStep(spec, data)
    return judge_cycles(first.steps.bare, data, data.test, first.batches.accelerator, spec)[0]


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    return trained(spec_of("blocks, one pass"), tmp_path_factory.mktemp("usual"))


@pytest.mark.parametrize("switch", SWITCHES)
def test_a_run_is_the_same_under_every_switch_also_when_stopped_and_resumed(switch, usual, tmp_path):
    spec, default = spec_of("blocks, one pass", **SWITCHES[switch]), spec_of("blocks, one pass")
    assert spec.run_id == default.run_id
    with pytest.raises(InterruptedRunError):
        trained(spec, tmp_path, Stop())
    np.testing.assert_allclose(trained(spec, tmp_path), usual, rtol=0, atol=1e-5)
