"""The optimiser of a run: its options, and how it is built."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.core.errors import SpecError
from bench.core.fields import identity_field
from bench.core.options import Space

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

OPTIMISERS = ("adam", "adamw", "sgd")

LR_SPACE = Space(low=1e-6, high=1e-3, log=True, grid=(1e-5, 2e-5, 5e-5, 1e-4, 2e-4))
DECAY_SPACE = Space(low=1e-7, high=1e-2, log=True, grid=(1e-6, 1e-5, 1e-4, 1e-3))
_LARGE_RATE = "what is too large shows as a loss that is not finite"


@dataclass(frozen=True, kw_only=True)
class OptimOptions:
    """Optimiser, rates and decay."""

    optimiser: str = identity_field("optimiser", "adam", choices=OPTIMISERS)
    lr: float = identity_field("base learning rate", 5e-5, low=1e-12, boundless=_LARGE_RATE, space=LR_SPACE)
    weight_decay: float = identity_field(
        "weight decay: coupled (L2) but for adamw and decoupled_decay", 1e-6, low=0.0, high=1e6, space=DECAY_SPACE
    )
    momentum: float = identity_field("momentum of sgd", 0.9, since=3, low=0.0, high=1.0)
    nesterov: bool = identity_field("whether the momentum of sgd is Nesterov's", False, since=3)
    decoupled_decay: bool = identity_field(
        "whether the weight decay of sgd is taken from the weights, not added to the gradient", False, since=3
    )
    classifier_rate: float = identity_field(
        "factor by which the classifier learns faster than the encoder", 1.0, since=3, low=0.0, high=1e6
    )
    method_rate: float = identity_field(
        "factor by which what the method adds (a projector) learns faster than the encoder",
        1.0,
        since=3,
        low=0.0,
        high=1e6,
    )
    step_average: float = identity_field(
        "share of the old state kept after each step",
        0.5,
        low=0.0,
        high=0.999,
        space=Space(low=0.0, high=0.9, grid=(0.0, 0.5, 0.9)),
    )

    def check(self) -> None:
        """Check what must hold between the fields.

        Raises:
            SpecError: If a switch of one optimiser is set for another.
        """
        if self.nesterov and (self.optimiser != "sgd" or self.momentum == 0):
            raise SpecError("nesterov is true, but needs optimiser=sgd with a momentum above 0.")
        if self.decoupled_decay and self.optimiser != "sgd":
            raise SpecError(
                f"decoupled_decay is true, but is a switch of sgd, not of {self.optimiser}.",
                "For Adam with decoupled decay use --set optimiser=adamw.",
            )


def build_optimizer(parameters: Iterable[tuple[nn.Parameter, float]], options: OptimOptions) -> Optimizer:
    """Build the optimiser that the options name, fused into one kernel where torch has it so.

    * ``adam`` adds weight_decay * parameter to the gradient (coupled, L2), biases and norms included: the official
      code's (@ 836b09f, ``util/misc.py``, ``set_optimizer``).
    * ``adamw`` takes lr * weight_decay * parameter from the parameter (Loshchilov & Hutter 2019).
    * ``sgd`` has a momentum, which may be Nesterov's, and coupled or decoupled decay.

    Args:
        parameters: What is trained, each with the factor of its learning rate; parameters of one factor form a group.
        options: The optimiser; its rate is that of the groups until :func:`set_learning_rate` sets another.
    """
    from torch.optim import SGD, Adam, AdamW

    groups = _groups_by_factor(parameters, options.lr)
    lr, decay = options.lr, options.weight_decay
    if options.optimiser == "adam":
        return Adam(groups, lr=lr, weight_decay=decay, fused=True)
    if options.optimiser == "adamw":
        return AdamW(groups, lr=lr, weight_decay=decay, fused=True)
    coupled = 0.0 if options.decoupled_decay else decay
    optimizer = SGD(
        groups, lr=lr, momentum=options.momentum, nesterov=options.nesterov, weight_decay=coupled, fused=True
    )
    if options.decoupled_decay:
        # Runs before each step, when gradients are there and parameters have not moved.
        optimizer.register_step_pre_hook(lambda stepped, _args, _options: _shrink_weights(stepped, decay))
    return optimizer


def _groups_by_factor(parameters: Iterable[tuple[nn.Parameter, float]], lr: float) -> list[dict[str, Any]]:
    """Parameter groups, one for each factor, in the order in which the factors appear."""
    groups: dict[float, dict[str, Any]] = {}
    for parameter, factor in parameters:
        group = groups.setdefault(factor, {"params": [], "lr": lr * factor, "rate_factor": factor})
        group["params"].append(parameter)
    return list(groups.values())


def _shrink_weights(optimizer: Optimizer, decay: float) -> None:
    """Take lr * decay * parameter from every parameter that is about to be stepped."""
    import torch

    with torch.no_grad():
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * decay)


def set_learning_rate(optimizer: Optimizer, lr: float) -> None:
    """Set the learning rate of the encoder; each group of parameters takes its own factor of it.

    Args:
        optimizer: From :func:`build_optimizer`, possibly wrapped.
        lr: Learning rate.
    """
    for group in optimizer.param_groups:
        # States of earlier versions hold a single group, and no factor.
        group["lr"] = lr * group.get("rate_factor", 1.0)
