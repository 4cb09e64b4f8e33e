"""Every method on every model of the registry: it trains, or it is refused with the models that can."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from stage_plans import make_stage

import baselines
import methods
from baselines import MODELS
from bench.core.errors import SpecError
from bench.core.inputs import joined
from bench.data.frontends import FRONTENDS
from bench.data.frontends.shapes import batch_shape, input_shapes
from bench.experiment.recipes import check_pair
from bench.experiment.settings import option_names
from methods import METHODS
from methods.base import Batch, StagedMethod

SMALL_AST = {"embed_dim": 16, "depth": 1, "heads": 2, "frames": 64, "mels": 48}
SMALL_RUN = "--set embed_dim=16 --set depth=1 --set heads=2 --set seconds=1.0 --set batch=8 --epochs 1".split()
MASKS = "--set specaug_time_width=20 --set specaug_freq_width=20".split()
PAIRS = [(model.card, method.card) for model in MODELS for method in METHODS]
OF_EACH_KIND = ("ce", "scl", "scl-hybrid", "mixup")
"""Methods of one view, of two, of two stages, and of mixed rows."""
FIRST_OF_THEIR_CODE = {entry.target: entry.id for entry in reversed(list(MODELS))}.values()
REFUSED = [(model, method) for model, method in PAIRS if method.needs_patches and not model.patches]


def stages_of(method: object) -> int:
    first = make_stage(epochs=1, lr=1e-3, weight_decay=0.0, schedule="cosine")
    return len(method.stages(first)) if isinstance(method, StagedMethod) else 1


@pytest.mark.slow
@pytest.mark.parametrize("model_id", [entry.id for entry in MODELS])
def test_every_method_takes_a_step_on_the_model_or_refuses(model_id):
    """The larger siblings of a model, which are the same code with more layers, take a method of each kind."""
    torch.manual_seed(0)
    chosen = [e for e in METHODS if model_id in FIRST_OF_THEIR_CODE or e.id in OF_EACH_KIND]
    card = MODELS.card(model_id)
    known = {"frames": 64, "mels": 48, "width": 8}
    options = SMALL_AST if card.patches else {name: known[name] for name in option_names(card) & known.keys()}
    model = baselines.create(model_id, **options)
    shapes = input_shapes(FRONTENDS.card(card.frontend).options())
    channels = {name: batch_shape(shape, 4)[1] for name, shape in shapes.items()}
    views = [joined({name: torch.randn(4, count, 64, 48) for name, count in channels.items()}) for _ in range(2)]
    for entry in chosen:
        if entry.card.needs_patches and not MODELS.card(model_id).patches:
            with pytest.raises(SpecError, match="mixes patch"):
                methods.create(entry.id, feature_dim=model.feature_dim, class_counts=[9, 5, 3, 2])
            continue
        method = methods.create(
            entry.id,
            feature_dim=model.feature_dim,
            class_counts=[9, 5, 3, 2],
            patch_grid=getattr(model, "patch_grid", None),
        )
        for stage in range(stages_of(method)):
            second = views[1] if entry.card.views == 2 and stage == 0 else None
            batch = Batch(
                features=views[0], second=second, labels=torch.tensor([0, 1, 2, 1]), local=slice(0, 4), stage=stage
            )
            loss = method(model, batch, method.draw(4, np.random.default_rng(1)))["loss"]
            model.zero_grad(set_to_none=True)
            loss.backward()
            assert torch.isfinite(loss), entry.id
            gradients = [p.grad.abs().sum() for p in model.parameters() if p.grad is not None]
            assert torch.stack(gradients).sum() > 0, entry.id


@pytest.mark.parametrize(("model", "method"), REFUSED, ids=lambda card: card.id)
def test_a_pair_that_cannot_run_is_refused_with_the_models_that_can(model, method):
    with pytest.raises(SpecError) as caught:
        check_pair(model, method)
    assert method.id in caught.value.message
    assert model.id in caught.value.message
    for able in (entry.id for entry in MODELS if entry.card.patches):
        assert able in caught.value.hint


def test_the_command_refuses_such_a_pair_with_exit_code_2(bench):
    printed = bench("run", "--model", "resnet18", "--method", "patchmix-cl", "--data", "demo", code=2)
    assert "patchmix-cl" in printed.err
    assert "ast-tiny" in printed.err


@pytest.mark.slow
@pytest.mark.parametrize("method", [entry.id for entry in METHODS])
def test_bench_run_finishes_with_every_method(bench, small_data, small_cache, tmp_path, method):
    probe = "probe_epochs" in METHODS.card(method).options.__dataclass_fields__
    words = ["run", "--model", "ast", "--method", method, "--data", small_data, *SMALL_RUN, *MASKS]
    words += ["--set", "probe_epochs=1"] if probe else []
    printed = bench(*words, "--home", tmp_path, "--cache", small_cache, "--format", "json")
    document = json.loads(printed.out)
    assert document["status"] == "finished"
    assert document["metrics"]["last"]["4class"]["n"] == 12
    assert len(document["epochs"]) == 1 + probe
    assert (document["epochs"][0]["test"] is None) == probe
