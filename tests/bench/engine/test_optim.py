"""Each optimiser against its equations, written out for one number at a time."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from bench.core.errors import SpecError
from bench.engine.optim import OptimOptions, build_optimizer, set_learning_rate

LR, DECAY, STEPS = 0.05, 0.2, 5
GRADIENTS = [0.7, -0.4, 0.0, 1.3, -2.0]


def adam_by_hand(x: float, *, decoupled: bool) -> float:
    """Kingma & Ba 2015, algorithm 1; the decay of Loshchilov & Hutter 2019, algorithm 2, where it is decoupled."""
    first, second = 0.0, 0.0
    for step, gradient in enumerate(GRADIENTS, start=1):
        coupled = gradient if decoupled else gradient + DECAY * x
        first = 0.9 * first + 0.1 * coupled
        second = 0.999 * second + 0.001 * coupled**2
        shrunk = x * (1 - LR * DECAY) if decoupled else x
        x = shrunk - LR * (first / (1 - 0.9**step)) / (math.sqrt(second / (1 - 0.999**step)) + 1e-8)
    return x


def sgd_by_hand(x: float, momentum: float, *, nesterov: bool, decoupled: bool) -> float:
    """Sutskever et al. 2013 in the form that torch has: the rate multiplies the velocity."""
    velocity = 0.0
    for gradient in GRADIENTS:
        coupled = gradient if decoupled else gradient + DECAY * x
        velocity = momentum * velocity + coupled
        shrunk = x * (1 - LR * DECAY) if decoupled else x
        x = shrunk - LR * (coupled + momentum * velocity if nesterov else velocity)
    return x


def stepped(options: OptimOptions, start: float, factor: float = 1.0) -> float:
    parameter = nn.Parameter(torch.tensor([start], dtype=torch.float64))
    optimizer = build_optimizer([(parameter, factor)], options)
    for gradient in GRADIENTS:
        parameter.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
    return float(parameter.detach())


@pytest.mark.parametrize("start", [1.5, -0.3])
@pytest.mark.parametrize(("optimiser", "decoupled"), [("adam", False), ("adamw", True)])
def test_adam_with_coupled_and_decoupled_decay(optimiser, decoupled, start):
    options = OptimOptions(optimiser=optimiser, lr=LR, weight_decay=DECAY)
    assert stepped(options, start) == pytest.approx(adam_by_hand(start, decoupled=decoupled), rel=1e-9)


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True), (0.5, True)])
def test_sgd_with_momentum_nesterov_and_both_decays(momentum, nesterov, decoupled):
    options = OptimOptions(
        optimiser="sgd", lr=LR, weight_decay=DECAY, momentum=momentum, nesterov=nesterov, decoupled_decay=decoupled
    )
    expected = sgd_by_hand(1.5, momentum, nesterov=nesterov, decoupled=decoupled)
    assert stepped(options, 1.5) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("optimiser", ["adam", "adamw", "sgd"])
def test_a_group_learns_by_its_factor_of_the_rate(optimiser):
    slow, fast = (OptimOptions(optimiser=optimiser, lr=lr, weight_decay=DECAY) for lr in (LR, 10 * LR))
    assert stepped(slow, 1.5, factor=10.0) == stepped(fast, 1.5)


def test_setting_the_rate_keeps_the_factors_and_the_order_of_the_groups():
    one, two, three = (nn.Parameter(torch.zeros(1)) for _ in range(3))
    optimizer = build_optimizer([(one, 1.0), (two, 10.0), (three, 1.0)], OptimOptions(optimiser="sgd"))
    assert [len(group["params"]) for group in optimizer.param_groups] == [2, 1]
    set_learning_rate(optimizer, 0.3)
    assert [group["lr"] for group in optimizer.param_groups] == [0.3, 3.0]


def test_parameters_of_one_factor_are_one_group_in_their_order():
    parameters = [nn.Parameter(torch.zeros(1)) for _ in range(3)]
    (group,) = build_optimizer([(one, 1.0) for one in parameters], OptimOptions()).param_groups
    assert all(kept is given for kept, given in zip(group["params"], parameters, strict=True))


def test_a_state_of_before_the_factors_is_gone_on_with():
    parameter = nn.Parameter(torch.ones(2))
    before = torch.optim.Adam([parameter], lr=0.1, fused=True)
    parameter.grad = torch.ones(2)
    before.step()
    after = build_optimizer([(parameter, 1.0)], OptimOptions(lr=0.1))
    after.load_state_dict(before.state_dict())
    set_learning_rate(after, 0.2)
    assert [group["lr"] for group in after.param_groups] == [0.2]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"nesterov": True}, "needs optimiser=sgd"),
        ({"nesterov": True, "optimiser": "sgd", "momentum": 0.0}, "momentum above 0"),
        ({"decoupled_decay": True}, "a switch of sgd, not of adam"),
        ({"decoupled_decay": True, "optimiser": "adamw"}, "a switch of sgd, not of adamw"),
    ],
)
def test_switches_of_another_optimiser_are_refused(fields, message):
    with pytest.raises(SpecError, match=message):
        OptimOptions(**fields).check()


def test_decoupled_decay_leaves_parameters_without_a_gradient_alone():
    used, unused = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    options = OptimOptions(optimiser="sgd", lr=0.1, weight_decay=0.5, momentum=0.0, decoupled_decay=True)
    optimizer = build_optimizer([(used, 1.0), (unused, 1.0)], options)
    used.grad = torch.zeros(1)
    optimizer.step()
    assert float(used.detach()) == pytest.approx(0.95)
    assert float(unused.detach()) == 1.0
