"""Learning rates, optimiser and step average against the authors' numbers and against their literal form."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from golden_rules import rng, weight
from stage_plans import make_stage
from torch import Tensor, nn

from bench.core.errors import SpecError
from bench.engine import schedule
from bench.engine.optim import OptimOptions, build_optimizer
from bench.engine.step_average import StepAverage, average_state
from methods.base import Stage


@pytest.mark.golden
@pytest.mark.parametrize(
    ("name", "lr", "epochs"),
    [
        ("cosine_lr5e-5_50_epochs", 5e-5, 50),
        ("cosine_lr1e-3_200_epochs", 1e-3, 200),
        ("cosine_lr5e-5_200_epochs", 5e-5, 200),
    ],
)
def test_learning_rate(golden, name, lr, epochs):
    check_rates(golden.json("schedule.json")[name], lr, epochs)


@pytest.mark.golden
def test_learning_rate_of_a_generated_run(golden):
    case = golden.json("schedule.json")["cosine_seeded"]
    check_rates(case["values"], case["lr"], case["epochs"])


@pytest.mark.golden
def test_learning_rate_in_steps(golden):
    expected = golden.json("schedule.json")["steps_lr1e-3_200_epochs_decay_120_160"]
    steps = stage(200, 1e-3, schedule="steps", milestones="120,160")
    np.testing.assert_allclose(rates(steps), expected, rtol=0, atol=1e-15)


def stage(epochs: int, lr: float, schedule: str = "cosine", **fields) -> Stage:
    return make_stage(epochs=epochs, lr=lr, weight_decay=0.0, schedule=schedule, **fields)


def learning_rate(plan: Stage, epoch: int) -> float:
    return schedule.learning_rate(plan.optim.lr, plan.schedule, epoch)


def rates(plan: Stage) -> list[float]:
    return [learning_rate(plan, epoch) for epoch in range(1, plan.schedule.epochs + 1)]


def check_rates(expected: list[float], lr: float, epochs: int) -> None:
    np.testing.assert_allclose(rates(stage(epochs, lr)), expected, rtol=0, atol=1e-15)


def test_learning_rate_ends_at_a_thousandth():
    found = rates(stage(50, 5e-5))
    assert found[-1] == pytest.approx(5e-8, rel=1e-12)
    assert found[0] < 5e-5


def test_a_wave_is_the_cosine_of_torch_beyond_its_period():
    wave = stage(100, 1e-3, schedule="wave", lr_period=40, lr_floor=1e-6)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1e-3)
    law = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=40, eta_min=1e-6)
    expected = []
    for _ in range(100):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        law.step()
    np.testing.assert_allclose(rates(wave), expected, rtol=1e-9)
    assert rates(wave)[80] == pytest.approx(1e-3)


def test_a_constant_rate_is_constant():
    assert set(rates(stage(5, 0.1, schedule="constant"))) == {0.1}


def test_warm_up_rises_to_the_cosine():
    warm = np.array([0.25, 0.5, 0.75, *[1.0] * 7])
    np.testing.assert_allclose(rates(stage(10, 1.0, warmup_epochs=3)), warm * rates(stage(10, 1.0)))


@pytest.mark.parametrize("epoch", [0, 11])
def test_an_epoch_outside_the_stage_is_refused(epoch):
    with pytest.raises(SpecError, match=f"Epoch {epoch} lies outside 1..10"):
        learning_rate(stage(10, 1.0), epoch)


@pytest.mark.parametrize("warmup", [-1, 10])
def test_a_warm_up_longer_than_the_run_is_refused(warmup):
    with pytest.raises(SpecError, match=rf"warmup_epochs is {warmup}, but must be at least 0 and below epochs \(10\)"):
        learning_rate(stage(10, 1.0, warmup_epochs=warmup), 1)


def adam(parameters, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    return build_optimizer([(one, 1.0) for one in parameters], OptimOptions(lr=lr, weight_decay=weight_decay))


def small_network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))


def golden_network(seed: int) -> nn.Sequential:
    network = small_network()
    generated = {
        name: torch.as_tensor(weight(seed, f"ma:{name}", tuple(value.shape)))
        for name, value in network.state_dict().items()
    }
    network.load_state_dict(generated)
    return network


def check_state(state: dict[str, Tensor], expected: dict[str, list[float]]) -> None:
    assert state.keys() == expected.keys()
    for name, value in state.items():
        np.testing.assert_allclose(value.flatten().double(), expected[name], rtol=0, atol=2e-6, err_msg=name)


def golden_input(seed: int, step: int) -> Tensor:
    return torch.from_numpy(rng(seed, f"ma:input:{step}").standard_normal((8, 6)).astype(np.float32))


@pytest.mark.golden
def test_average_state(golden):
    document = golden.json("schedule.json")
    for case in document["moving_average"]:
        network = golden_network(document["seed"])
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        for number, step in enumerate(case["steps"]):
            before = copy.deepcopy(network.state_dict())
            loss = network(golden_input(document["seed"], number)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            assert loss.item() == pytest.approx(step["loss"], abs=2e-6)
            check_state(network.state_dict(), step["before_average"])
            network.load_state_dict(average_state(before, network.state_dict(), case["beta"]))
            check_state(network.state_dict(), step["after_average"])
            assert network[1].num_batches_tracked.item() == case["num_batches_tracked"][number]


@pytest.mark.golden
def test_the_folded_average_gives_the_same(golden):
    document = golden.json("schedule.json")
    for case in document["moving_average"]:
        network = golden_network(document["seed"])
        average = StepAverage(network, case["beta"])
        optimizer = torch.optim.SGD(network.parameters(), lr=average.effective_lr(0.1))
        for number, step in enumerate(case["steps"]):
            average.before_step()
            optimizer.zero_grad()
            network(golden_input(document["seed"], number)).square().mean().backward()
            optimizer.step()
            average.after_step()
            check_state(network.state_dict(), step["after_average"])


def train(network: nn.Module, optimizer: torch.optim.Optimizer, step: int, passes: int) -> None:
    torch.manual_seed(step)
    optimizer.zero_grad()
    for _ in range(passes):
        network(torch.randn(8, 6, dtype=torch.float64)).square().mean().backward()
    optimizer.step()


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("passes", [1, 2])
def test_the_folded_average_equals_the_literal_one(beta, passes):
    """Adam with decay, 20 steps; with two passes the batch norm is updated twice before the average is taken."""
    torch.manual_seed(0)
    literal = small_network().double()
    folded = copy.deepcopy(literal)
    average = StepAverage(folded, beta)
    plain = adam(literal.parameters(), 1e-2, 1e-2)
    scaled = adam(folded.parameters(), average.effective_lr(1e-2), 1e-2)
    for step in range(20):
        before = copy.deepcopy(literal.state_dict())
        train(literal, plain, step, passes)
        literal.load_state_dict(average_state(before, literal.state_dict(), beta))
        average.before_step()
        train(folded, scaled, step, passes)
        average.after_step()
    for name, value in literal.state_dict().items():
        torch.testing.assert_close(folded.state_dict()[name], value, rtol=0, atol=1e-12, msg=name)


def test_the_folded_average_follows_buffers_that_are_replaced():
    network = small_network()
    average = StepAverage(network, 0.5)
    network.double()
    average.before_step()
    network(torch.full((2, 6), 3.0, dtype=torch.float64))
    moved = network[1].running_mean.clone()
    average.after_step()
    torch.testing.assert_close(network[1].running_mean, moved / 2)
    assert network[1].num_batches_tracked == 0


def test_a_module_without_buffers_averages_too():
    average = StepAverage(nn.Linear(2, 2), 0.5)
    average.before_step()
    average.after_step()
    assert average.effective_lr(4.0) == 2.0


@pytest.mark.parametrize("beta", [-0.1, 1.0])
def test_a_share_outside_its_range_is_refused(beta):
    with pytest.raises(SpecError, match=f"step_average is {beta}, but must be at least 0 and below 1"):
        StepAverage(nn.Linear(2, 2), beta)


def test_weight_decay_is_coupled():
    """One Adam step from a zero gradient: coupled decay moves by the whole learning rate, AdamW hardly at all."""
    parameter = nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = adam([parameter], 1e-2, 1e-3)
    parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(parameter.detach(), torch.full((3,), 1 - 1e-2, dtype=torch.float64), rtol=0, atol=1e-6)
