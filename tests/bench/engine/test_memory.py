"""Memory that runs out in a step: the error names a micro-batch that was tried, and nothing else is left behind."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import nn

import methods
from bench.core.errors import RunError
from bench.engine import memory
from bench.engine.gradients import Gradients
from bench.engine.graph import TrainingGraph
from methods.base import Batch


class Hungry(nn.Module):
    """A model that runs out of memory where it computes more than some rows at a time."""

    def __init__(self, most, error, norm=None):
        super().__init__()
        self.layer, self.classifier, self.norm = nn.Linear(6, 8), nn.Linear(8, 4), norm
        self.most, self.error, self.tried = most, error, []
        self.feature_dim = 8

    def features(self, x):
        self.tried.append(len(x))
        if len(x) > self.most:
            raise self.error
        return self.layer(x.flatten(1))

    def forward(self, x):
        return self.classifier(self.features(x))


OF_GPU = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nmore advice")
OF_CPU = RuntimeError("[enforce fail] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")


def step(most, error=OF_GPU, method="ce", rows=8, micro_batch=0, norm=None):
    """Compute the gradients of one step that does not fit; gives model and error."""
    model = Hungry(most, error, norm)
    built = methods.create(method, feature_dim=8, class_counts=[5, 4, 3, 2])
    bare = TrainingGraph(model, built, micro_batch)
    labels = torch.arange(rows) % 4
    x = torch.randn(rows, 1, 2, 3)
    batch = Batch(features=x, second=x.flip(0), labels=labels, local=slice(0, rows))
    with pytest.raises(RunError) as caught:
        Gradients(bare, bare, Accelerator(cpu=True)).compute(batch, built.draw(rows, np.random.default_rng(0)))
    assert all(parameter.grad is None for parameter in bare.parameters())
    assert bare.micro_batch == micro_batch
    return model, caught.value


@pytest.mark.parametrize("method", ["ce", "mixup", "scl-hybrid"])
@pytest.mark.parametrize(("most", "fits"), [(4, 4), (3, 2), (1, 1)])
def test_the_error_names_the_first_half_that_fits(method, most, fits):
    model, error = step(most, method=method)
    assert error.message.startswith("The device ran out of memory in a step of 8 cycles: CUDA out of memory.")
    assert "more advice" not in error.message
    assert f"--set micro_batch={fits}," in error.hint
    assert "tried" in error.hint
    assert max(model.tried[1:]) <= 8


def test_micro_batches_that_do_not_fit_are_halved_too():
    _, error = step(1, micro_batch=4)
    assert "--set micro_batch=1," in error.hint


def test_not_even_one_row():
    _, error = step(0)
    assert "Not even one cycle" in error.hint
    assert "checkpointing=true" in error.hint


def test_memory_of_the_machine():
    _, error = step(4, OF_CPU)
    assert error.message == "The machine ran out of memory in a step of 8 cycles."
    assert "micro_batch=4" in error.hint


def test_a_model_that_normalises_over_the_batch_is_told_of_checkpointing_alone():
    class Norm(Hungry):
        def checkpoint_blocks(self):
            return [self.layer]

    _, error = step(4, norm=nn.BatchNorm1d(8))
    assert "micro_batch=" not in error.hint
    assert "batch" in error.hint


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="a shape"):
        step(4, RuntimeError("a shape is wrong"))
    with pytest.raises(RuntimeError, match="a shape"):
        memory.fitting_micro_batch(lambda size: (_ for _ in ()).throw(RuntimeError("a shape is wrong")), 8)


def test_what_the_allocator_of_the_cpu_says_is_known():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert memory.is_out_of_memory(caught.value)
    assert memory.is_out_of_memory(MemoryError())
    assert not memory.is_out_of_memory(RuntimeError("CUDA error: device-side assert triggered"))
