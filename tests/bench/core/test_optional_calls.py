"""Optional calls: told by functions of their names, by nothing else of such a name."""

from __future__ import annotations

from abc import abstractmethod

import pytest
import torch
from torch import nn

from bench.core.optional_calls import OptionalCalls
from bench.engine.activation_checkpoints import BlockModel
from methods.base import PreparedMethod, RowwiseMethod, ScoringMethod, StagedMethod

HOOKS = [
    (PreparedMethod, "prepare"),
    (ScoringMethod, "scores"),
    (StagedMethod, "stages"),
    (RowwiseMethod, "row_weights"),
    (BlockModel, "checkpoint_blocks"),
]


class Method(nn.Module):
    """A method whose parts have the names of hooks."""

    def __init__(self, name, value):
        super().__init__()
        setattr(self, name, value)


@pytest.mark.parametrize(("hook", "name"), HOOKS)
@pytest.mark.parametrize("value", [nn.Linear(2, 2), None, 3, torch.zeros(2), nn.Parameter(torch.zeros(2)), nn.Linear])
def test_what_is_no_function_is_no_hook(hook, name, value):
    assert not isinstance(Method(name, value), hook)
    assert not isinstance(nn.Linear(2, 2), hook)


@pytest.mark.parametrize(("hook", "name"), HOOKS)
def test_functions_are_hooks_whether_of_a_class_or_of_an_object(hook, name):
    def call(self, *words):
        return None

    of_class = type("OfClass", (nn.Module,), {name: call})
    assert isinstance(of_class(), hook)
    assert isinstance(type("Below", (of_class,), {})(), hook)
    assert isinstance(type("Static", (nn.Module,), {name: staticmethod(call)})(), hook)
    assert isinstance(Method(name, torch.sigmoid), hook)
    assert isinstance(Method(name, lambda logits: logits), hook)


def test_every_call_must_be_there():
    class Two(OptionalCalls):
        @abstractmethod
        def first(self): ...

        @abstractmethod
        def second(self): ...

    class One:
        def first(self): ...

    class Both(One):
        def second(self): ...

    assert (isinstance(One(), Two), isinstance(Both(), Two)) == (False, True)
