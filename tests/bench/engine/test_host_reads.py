"""No step reads a number from its device, where a GPU would be waited for: found on the CPU, by a stand-in."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch
from five_steps import run_data, spec_of
from host_reads import HostReads
from step_cases import SMALL_AST, case

from bench.engine.evaluate import class_probabilities
from bench.engine.trainer import Trainer
from methods import METHODS

CASES = {f"ast-{entry.id}": case("ast", SMALL_AST, entry.id) for entry in METHODS}
CASES["sgd"] = {**case("ast", SMALL_AST, "ce"), "fields": {"optimiser": "sgd", "decoupled_decay": True}}
CASES["shift"] = {**case("ast", SMALL_AST, "ce"), "fields": {"time_shift": True, "specaug_fill": "lowest"}}
CASES["micro"] = {**case("ast", SMALL_AST, "patchmix-cl"), "fields": {"micro_batch": 4}}


NOT_ON_A_GPU = {
    ("_local_scalar_dense", "methods/mixup/mixup_bce.py: forward"),
    ("_local_scalar_dense", "methods/pair_mixup/pair_mixup.py: forward"),
    ("_local_scalar_dense", "methods/losses.py: mixed_targets"),
}
"""``one_hot`` looks for the smallest and largest class on the CPU alone; on a GPU the scatter itself tells of one that
is out of range (ATen's Onehot.cpp)."""


@pytest.fixture(autouse=True, scope="module")
def quick_collections():
    """A stage collects garbage before it begins: what the imports have left need not be looked through each time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def ready(folder, given, **fields):
    given = {
        **given,
        "fields": {"specaug_probability": 0.8, "bank_on_device": "yes", **given.get("fields", {}), **fields},
    }
    spec = spec_of(given)
    trainer = Trainer(spec, run_data(spec), folder)
    trainer._begin()
    trainer.stage.begin_epoch()
    return trainer


@pytest.mark.parametrize("name", CASES)
def test_a_step_reads_nothing(tmp_path, name):
    trainer = ready(tmp_path, CASES[name])
    order = trainer.batches.order(1)
    # The first step makes what an optimiser keeps.
    trainer._train_step(trainer.batches.rows_of_step(order, 0), 1, 0)
    with HostReads() as reads:
        losses = trainer._train_step(trainer.batches.rows_of_step(order, 1), 1, 1)
    assert set(reads.found) <= NOT_ON_A_GPU
    assert torch.isfinite(losses["loss"])


def test_an_evaluation_reads_its_scores_once_at_the_end(tmp_path):
    trainer = ready(tmp_path, CASES["ast-ce"])
    rows = np.arange(12)
    plain = class_probabilities(trainer.model, trainer.data, rows, trainer.accelerator, 12)
    with HostReads() as reads:
        scores = class_probabilities(trainer.model, trainer.data, rows, trainer.accelerator, 2)
    # The scores, whether each row was judged once and whether all are finite; not one more for each of six batches.
    assert [what for what, _ in reads.found] == ["cpu", "_local_scalar_dense", "_local_scalar_dense", "numpy"]
    np.testing.assert_allclose(scores, plain, atol=1e-6)


@pytest.mark.parametrize(
    ("read", "what"),
    [
        (lambda x: x.sum().item(), "_local_scalar_dense"),
        (lambda x: float(x.sum()), "_local_scalar_dense"),
        (lambda x: bool((x > 0).all()), "_local_scalar_dense"),
        (lambda x: x[x > 0], "a boolean index"),
        (lambda x: x.cpu(), "cpu"),
        (lambda x: torch.nonzero(x), "nonzero"),
        (lambda x: x.sum() + torch.tensor(1.0), "tensor"),
    ],
)
def test_the_stand_in_finds_a_read(read, what):
    with HostReads() as reads:
        read(torch.randn(4))
    assert what in [found for found, _ in reads.found]
