"""LungAttn's mixes, losses, schedule, training steps and evaluation equal those of the authors' own code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from golden_lungattn import made_up_network
from golden_systems import pictures, rng
from stage_plans import OPTIM, SCHEDULE, make_stage

import methods
from baselines import MODELS
from baselines.lungattn.model import official_name
from bench.engine.optim import build_optimizer
from bench.engine.schedule import learning_rate
from leaderboard.metrics import confusion_matrix, metrics_of, predicted_classes
from methods.base import Batch, Stage
from methods.losses import binary_cross_entropy
from methods.pair_mixup.card import AUTHORS_POSITIVE_WEIGHTS
from methods.pair_mixup.pair_mixup import mix_pairs, mixed_targets
from methods.pair_mixup.pairs import Roles, draw_pair_mixes

pytestmark = pytest.mark.golden

ROLES = Roles(0, 1, 2, 3)
DTYPES = {"f32": torch.float32, "f64": torch.float64}


class Replayed:
    """A generator that gives the numbers that the authors' code drew, in their order."""

    def __init__(self, draws: list[list[Any]]) -> None:
        self.draws = list(draws)

    def _next(self, kind: str, size: int) -> list[Any]:
        found, values = self.draws.pop(0)
        assert (found, len(values)) == (kind, size)
        return values

    def beta(self, a: float, b: float, size: int) -> np.ndarray:
        assert (a, b) == (0.5, 0.5)
        return np.array(self._next("beta", size), dtype=float)

    def permutation(self, x: np.ndarray) -> np.ndarray:
        values = np.array(self._next("shuffle", len(x)), dtype=np.int64)
        assert sorted(values) == sorted(x)
        return values


@pytest.fixture(scope="module")
def golden(golden_system):
    return golden_system("resnet-att")


def one_hot(labels: list[int]) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(labels), 4).double()


def test_the_mixes(golden):
    assert golden.facts["mix"]
    for facts in golden.facts["mix"]:
        key, labels, replayed = f"mix/{facts['case']}", facts["labels"], Replayed(facts["draws"])
        mixes = draw_pair_mixes(np.array(labels), ROLES, facts["alpha"], replayed)
        assert replayed.draws == []
        x = torch.from_numpy(pictures(golden.seed, f"mix:{facts['case']}", len(labels), *facts["shape"][1:])).double()
        whole = torch.cat([x, mix_pairs(x, mixes)])
        assert list(whole.shape) == facts["shape"]
        np.testing.assert_allclose(whole[:, 0, :2, :2], golden.arrays[f"{key}/x"], rtol=0, atol=1e-6)
        np.testing.assert_allclose(whole.mean((1, 2, 3)), golden.arrays[f"{key}/x_mean"], rtol=0, atol=1e-9)
        targets = one_hot(labels)
        targets = torch.cat([targets, mixed_targets(targets, mixes)])
        np.testing.assert_allclose(targets, golden.arrays[f"{key}/y"], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("precision", "atol"), [("f32", 1e-6), ("f64", 1e-9)])
@pytest.mark.parametrize("case", ["bce_soft", "bce_hard", "bce_hard_pos_weight"])
def test_the_loss(golden, case, precision, atol):
    logits = 2 * rng(golden.seed, "loss:logits").standard_normal((12, 4))
    x = torch.from_numpy(logits).to(DTYPES[precision]).requires_grad_()
    targets = torch.from_numpy(golden.arrays[f"loss/{case.split('_')[1]}"])
    weights = torch.tensor(AUTHORS_POSITIVE_WEIGHTS) if case.endswith("pos_weight") else None
    loss = binary_cross_entropy(x, targets, weights)
    loss.backward()
    assert loss.item() == pytest.approx(golden.facts["numbers"][f"loss/{case}_{precision}"], abs=atol)
    np.testing.assert_allclose(x.grad, golden.arrays[f"loss/{case}_grad_{precision}"], rtol=0, atol=atol)


def paper_stage() -> Stage:
    """Optimiser and schedule of the paper profile."""
    recipe = MODELS.card("resnet-att").recipe("paper", "none")
    return make_stage(**{key: value for key, value in recipe.items() if key in OPTIM | SCHEDULE.keys()})


def test_the_schedule(golden):
    stage, expected = paper_stage(), golden.arrays["schedule/lr"]
    assert stage.schedule.epochs == len(expected)
    found = [learning_rate(stage.optim.lr, stage.schedule, epoch) for epoch in range(1, len(expected) + 1)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def batch_of(x: torch.Tensor, labels: list[int]) -> Batch:
    return Batch(features=x, labels=torch.tensor(labels), local=slice(0, len(labels)))


@pytest.mark.parametrize("case", ["train", "train_nomix"])
def test_three_steps(golden, monkeypatch, case):
    """In double precision, as the set's README advises."""
    facts, arrays = golden.facts[case], golden.arrays
    method = methods.create("pair-mixup", feature_dim=64, class_counts=(1, 1, 1, 1), mixup=case == "train")
    model = made_up_network(golden.seed, torch.float64).train()
    optimizer = build_optimizer([(parameter, 1.0) for parameter in model.parameters()], paper_stage().optim)
    names = {official_name(name): parameter for name, parameter in model.named_parameters()}
    begun = {name: parameter.detach().clone() for name, parameter in names.items()}

    def values() -> list[float]:
        return [names[name].detach().flatten()[place].item() for name, place in facts["values"]]

    def assert_close(found, key, **tolerance):
        np.testing.assert_allclose(found, arrays[f"{case}/{key}_f64"], err_msg=key, **{"rtol": 0, **tolerance})

    assert_close(values(), "before", atol=1e-9)
    x = torch.from_numpy(pictures(golden.seed, "train:x", len(facts["labels"]), 3, 224, 224)).double()
    losses = []
    for step, size in enumerate([facts["batch"]] * 3):
        rows = slice(step * size, (step + 1) * size)
        replayed = Replayed(facts["mix"][step]["draws"])
        monkeypatch.setattr("methods.pair_mixup.pair_mixup.np.random.default_rng", lambda seed, r=replayed: r)
        logits = []
        hook = model.register_forward_hook(lambda module, given, made, out=logits: out.append(made.detach()))
        loss = method(model, batch_of(x[rows], facts["labels"][rows]), 0)["loss"]
        hook.remove()
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            norms = [names[name].grad.norm().item() for name in facts["active"]]
            assert_close(norms, "grad_norm_step1", rtol=1e-6, atol=1e-12)
        optimizer.step()
        assert len(torch.cat(logits)) == facts["mix"][step]["batch_after"]
        assert_close(torch.cat(logits).numpy(), f"logits_step{step + 1}", atol=1e-8)
        losses.append(loss.item())
    assert_close(losses, "loss", atol=1e-9)
    assert_close(values(), "after", atol=1e-9)
    changes = [(names[name] - begun[name]).norm().item() for name in facts["active"]]
    assert_close(changes, "change_norm", rtol=1e-6, atol=1e-12)


def test_the_evaluation(golden):
    facts = golden.facts["evaluation"]
    logits = torch.from_numpy(golden.arrays["evaluation/scores"])
    scores = methods.create("pair-mixup", feature_dim=64, class_counts=(1, 1, 1, 1)).scores(logits.double())
    confusion = confusion_matrix(facts["labels"], predicted_classes(scores.numpy()))
    assert confusion == facts["confusion"]
    found = metrics_of(confusion, "4class")
    for name, value in (("specificity", found["sp"]), ("sensitivity", found["se"]), ("score", found["score"])):
        assert value == pytest.approx(100 * facts[name], abs=1e-3), name
    loss = binary_cross_entropy(logits, one_hot(facts["labels"]))
    assert loss.item() == pytest.approx(facts["loss"], abs=1e-6)
