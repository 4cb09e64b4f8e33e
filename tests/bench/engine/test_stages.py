"""Stages of a run: which epoch belongs to which, what is frozen, and what cannot be run."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from stage_plans import make_stage
from torch import nn

from bench.core.errors import SpecError
from bench.engine.stages import StagePlan, freeze_others, set_training_mode, stages_of, trainable_parameters
from bench.experiment.spec import RunSpec
from methods.base import Stage

FIRST = make_stage(epochs=3, lr=1e-3, weight_decay=0.0, schedule="cosine")
PROBE = make_stage("probe", epochs=2, lr=1e-3, weight_decay=0.0, trains=("classifier",))


class Graph(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Module()
        self.model.trunk = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
        self.model.classifier = nn.Linear(2, 4)
        self.method = nn.Linear(2, 2)


def spec(**changes) -> RunSpec:
    fields = {"model": "ast", "method": "ce", "frontend": "ast", "dataset": "demo", "data_fingerprint": "0" * 64}
    options = {"model_options": {}, "method_options": {}, "frontend_options": {}}
    return RunSpec.of(**fields, **options, pretrain="none", frontend_version=1, **changes)


@pytest.mark.parametrize(
    ("done", "index", "before", "end"), [(0, 0, 0, 3), (2, 0, 0, 3), (3, 1, 3, 5), (4, 1, 3, 5), (5, 1, 3, 5)]
)
def test_an_epoch_belongs_to_one_stage(done, index, before, end):
    place = StagePlan((FIRST, PROBE), steps=10).at(done)
    assert (place.index, place.before, place.end) == (index, before, end)
    assert StagePlan((FIRST, PROBE), steps=10).epochs == 5


def test_a_method_without_stages_has_that_of_the_spec():
    (stage,) = stages_of(spec(epochs=7, lr=0.5, schedule="steps", milestones="2,4", warmup_epochs=1), object())
    assert (stage.schedule.epochs, stage.optim.lr, stage.schedule.warmup_epochs) == (7, 0.5, 1)
    assert stage.schedule.milestone_places == (2, 4)
    assert set(stage.trains) == {"encoder", "classifier", "method"}


@pytest.mark.parametrize(
    ("trains", "names"),
    [
        (("classifier",), {"model.classifier.weight", "model.classifier.bias"}),
        (("method",), {"method.weight"}),
        (("encoder",), {f"model.trunk.{k}.{n}" for k in (0, 1) for n in ("weight", "bias")}),
    ],
)
def test_what_is_not_trained_is_frozen_and_comes_back(trains, names):
    graph = Graph()
    graph.method.bias.requires_grad_(False)
    trainable = trainable_parameters(graph)
    freeze_others(graph, trains, trainable)
    assert {name for name, parameter in graph.named_parameters() if parameter.requires_grad} == names
    freeze_others(graph, ("encoder", "classifier", "method"), trainable)
    assert [n for n, parameter in graph.named_parameters() if not parameter.requires_grad] == ["method.bias"]


def test_frozen_parts_keep_their_running_statistics():
    graph = Graph()
    set_training_mode(graph, ("classifier",))
    before = graph.model.trunk[1].running_mean.clone()
    graph.model.trunk(torch.randn(8, 2))
    assert torch.equal(graph.model.trunk[1].running_mean, before)
    assert graph.model.classifier.training
    assert not graph.method.training


class Staged:
    def __init__(self, *stages: Stage) -> None:
        self.planned = stages

    def stages(self, first: Stage) -> tuple[Stage, ...]:
        return self.planned


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ((), "last stage of method ce is not evaluated"),
        ((PROBE, replace(FIRST, evaluated=False)), "last stage of method ce is not evaluated"),
        ((replace(FIRST, trains=("head",)),), "Stage 'training' of method ce trains"),
        ((replace(FIRST, trains=()),), "Stage 'training' of method ce trains"),
        ((make_stage(schedule="wobble"),), "schedule is 'wobble', but must be one of"),
        ((make_stage(epochs=0),), "Stage 'training' of method ce: epochs is 0, but must be at least 1"),
        ((FIRST, make_stage("probe", optimiser="rmsprop")), "Stage 'probe' of method ce: optimiser is 'rmsprop'"),
        ((make_stage(lr="1e-3"),), "lr is '1e-3', but must be a number"),
        ((make_stage(nesterov=True),), "nesterov is true, but needs optimiser=sgd"),
        ((make_stage(epochs=3, warmup_epochs=3),), "warmup_epochs is 3, but must be below epochs"),
        ((FIRST, "probe"), "must plan a tuple of `Stage`s"),
    ],
)
def test_stages_that_cannot_be_run_are_refused(stages, message):
    with pytest.raises(SpecError, match=message):
        stages_of(spec(), Staged(*stages))


def test_a_plan_whose_method_returns_no_tuple_is_refused():
    method = Staged()
    method.stages = lambda first: None
    with pytest.raises(SpecError, match="plans None, but must plan a tuple"):
        stages_of(spec(), method)


def test_a_warm_up_beyond_the_iterations_of_a_stage_is_refused_before_its_first_step():
    stages = (make_stage(epochs=2), make_stage("probe", iterations=25, warmup_epochs=3))
    assert StagePlan(stages, steps=8).epochs == 6
    with pytest.raises(SpecError, match="warmup_epochs is 3, but must be below the 3 epochs that the stage 'probe'"):
        StagePlan(stages, steps=10)
