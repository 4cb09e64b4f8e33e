"""The named losses of steps: read from the device, checked, and summed over an epoch."""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from bench.core.errors import SpecError
from bench.core.optional_calls import OptionalCalls
from bench.core.text import echoed
from leaderboard.results.schema import LOSS_NAME, MOST_LOSSES

LOSS = "loss"
"""Name of the loss that is trained for."""


class PenalisedModel(OptionalCalls):
    """A model that adds terms of its own to the loss of whatever method trains it."""

    @abstractmethod
    def penalties(self) -> Mapping[str, Tensor]:
        """Name the terms.

        Returns:
            Scalars by name, which depend on the model's parameters alone and are the same in every process.
        """
        ...


def with_penalties(losses: Mapping[str, Tensor], model: object) -> dict[str, Tensor]:
    """Add a model's penalties to the loss of a batch, and name them beside it.

    Args:
        losses: What a method has returned, checked.
        model: The model.

    Returns:
        The losses with those of the model; as they are where the model has none.
    """
    if not isinstance(model, PenalisedModel):
        return dict(losses)
    penalties = model.penalties()
    return {**losses, **penalties, LOSS: sum(penalties.values(), losses[LOSS])}


def checked_losses(losses: Any) -> dict[str, Tensor]:
    """Check what a method has returned for a batch: a mapping with a scalar ``loss``.

    Raises:
        SpecError: If it is something else.
    """
    hint = "Let its forward give named scalar tensors, `loss` among them, which is trained for."
    if not isinstance(losses, Mapping) or LOSS not in losses:
        found = f"names {', '.join(map(str, losses))}" if isinstance(losses, Mapping) else f"a {type(losses).__name__}"
        raise SpecError(f"The method returns no mapping with '{LOSS}', but {found}.", hint)
    loss = losses[LOSS]
    if not isinstance(loss, Tensor) or loss.ndim > 0:
        found = f"of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        raise SpecError(f"The method's '{LOSS}' is no scalar tensor, but {found}.", hint)
    return dict(losses)


def loss_to_train(losses: Mapping[str, Tensor]) -> Tensor:
    """The loss that is trained for.

    Raises:
        SpecError: If no gradient flows from it.
    """
    if not losses[LOSS].requires_grad:
        raise SpecError(
            f"The method's '{LOSS}' depends on nothing that is trained.",
            "Compute it from the parts that its stage trains, with gradients.",
        )
    return losses[LOSS]


def read_losses(steps: Sequence[Mapping[str, Tensor]]) -> list[dict[str, float]]:
    """Read the losses of some steps, in one transfer for all of them.

    Args:
        steps: Of each step, what the method has returned by name; what is no scalar is left out.

    Returns:
        The numbers by name, of each step.

    Raises:
        SpecError: If there is a name that a result cannot hold.
    """
    scalars = [{name: value for name, value in step.items() if value.ndim == 0} for step in steps]
    for step in scalars:
        _check_names(step)
    # float64, so that they are stacked whatever type each of them has.
    values = iter(torch.stack([value.double() for step in scalars for value in step.values()]).tolist())
    return [{name: next(values) for name in step} for step in scalars]


def _check_names(losses: Mapping[str, object]) -> None:
    wrong = [name for name in losses if not re.fullmatch(LOSS_NAME, name)]
    if wrong:
        raise SpecError(
            f"The method names a loss '{echoed(wrong[0])}', but a name has at most 40 letters, digits, spaces and ._-"
        )


def add_named(sums: dict[str, float | None] | None, losses: Mapping[str, float]) -> None:
    """Add the named losses of a step, but for the one that is trained for, to the sums of an epoch.

    Args:
        sums: Sums by name, None for one that is no longer finite; None where no sums are kept of the epoch.
        losses: From :func:`read_losses`.

    Raises:
        SpecError: If there are more names than a result holds.
    """
    if sums is None:
        return
    for name, value in losses.items():
        if name != LOSS:
            before = sums.get(name, 0.0)
            total = math.nan if before is None else before + value
            sums[name] = total if math.isfinite(total) else None
    if len(sums) > MOST_LOSSES:
        raise SpecError(f"The method names {len(sums)} losses, but a result holds at most {MOST_LOSSES} beside loss.")


def means(sums: Mapping[str, float | None], steps: int) -> dict[str, float | None]:
    """The mean of each named loss over the steps of an epoch; None for one that was not finite.

    A step that does not name a loss counts as one in which it is 0.
    """
    return {name: None if total is None else total / steps for name, total in sums.items()}
