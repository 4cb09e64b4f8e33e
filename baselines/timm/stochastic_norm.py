"""Stochastic normalisation (Kou et al. 2020): each channel takes the batch's statistics or the running ones, by chance.

Source: thuml/StochNorm @ edca43d and thuml/Transfer-Learning-Library @ 0aecfaa, ``tllib/normalization/stochnorm.py``.
Shapes: B batch, C channels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

BATCH_NORM: Any = nn.BatchNorm1d.__base__
"""What torch's batch normalisations of any number of dimensions have in common; torch exports no name for it."""

Statistics = Callable[[Tensor], tuple[Tensor, Tensor, int]]
"""Gives the mean (C,) and biased variance (C,) of values (B, C, ...), and the number of values of a channel."""


def batch_statistics(x: Tensor) -> tuple[Tensor, Tensor, int]:
    """Mean and biased variance of each channel.

    Args:
        x: (B, C, ...).

    Returns:
        (C,), (C,), and the number of values of a channel.
    """
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    variance, mean = torch.var_mean(wide, dim=[axis for axis in range(x.ndim) if axis != 1], correction=0)
    return mean, variance, x.numel() // x.shape[1]


class StochNorm(BATCH_NORM):  # type: ignore[misc]
    """A batch normalisation of any number of dimensions of which a share of the channels uses the running statistics.

    In training each channel is normalised by the statistics of the batch with the chance ``p``, and otherwise by the
    running statistics as they are before this step; the choice is the same for all rows. The running statistics of all
    channels move as those of a batch normalisation do. In an evaluation it is one. Names of parameters and buffers are
    those of torch's layers.

    Args:
        channels: C.
        p: Chance that a channel takes the statistics of the batch.
        gradient: ``own`` differentiates what was computed; ``moved`` is the authors' side effect: the gradient of a
            channel that takes the running statistics is that of a normalisation by them as they are after the step.
        eps: Added to the variance.
        momentum: Share of the new statistics in the running ones.
        affine: Whether each channel has a weight and a bias.

    Attributes:
        statistics: Computes the statistics of the batch; processes that share a batch put their own in its place.
    """

    def __init__(
        self,
        channels: int,
        p: float = 0.5,
        gradient: str = "own",
        *,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
    ) -> None:
        super().__init__(channels, eps, momentum, affine, True)
        self.p, self.gradient = p, gradient
        self.statistics: Statistics = batch_statistics

    @classmethod
    def like(cls, norm: Any, p: float = 0.5, gradient: str = "own") -> StochNorm:
        """Make one that holds the parameters and buffers of a batch normalisation.

        Args:
            norm: A batch normalisation of torch with running statistics.
            p: Chance that a channel takes the statistics of the batch.
            gradient: ``own`` or ``moved``.
        """
        made = cls(norm.num_features, p, gradient, eps=norm.eps, momentum=norm.momentum, affine=norm.affine)
        made.load_state_dict(norm.state_dict())
        return cast(StochNorm, made.to(norm.running_mean))

    def select(self, device: torch.device) -> Tensor:
        """Draw the channels that take the statistics of the batch.

        Args:
            device: Device of the values.

        Returns:
            (C,) bool.
        """
        return torch.rand(self.num_features, device=device) < self.p

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x (B, C, ...).

        Raises:
            ValueError: If a channel has a single value to train on.
        """
        if not self.training:
            return functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        mean, variance, count = self.statistics(x)
        if count == 1:
            # In the words of torch's own layers.
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {tuple(x.shape)}")
        selected = self.select(x.device)
        normalised = self._normalise(x, selected, mean, variance)
        self._move(mean, variance, count)
        if self.gradient == "moved":
            # The value of the one, the gradient of the other.
            again = self._normalise(x, selected, mean, variance)
            normalised = again + (normalised - again).detach()
        return normalised.to(x.dtype)

    def _normalise(self, x: Tensor, selected: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        """Normalise x (B, C, ...) by statistics of the batch where ``selected`` (C,), else by the running ones now."""
        shape = (1, -1, *[1] * (x.ndim - 2))
        centre = torch.where(selected, mean, self.running_mean).view(shape)
        scale = torch.where(selected, variance, self.running_var).add(self.eps).rsqrt().view(shape)
        found = (x.to(mean.dtype) - centre) * scale
        if self.affine:
            found = found * self.weight.view(shape) + self.bias.view(shape)
        return found

    @torch.no_grad()
    def _move(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running statistics of all channels; the variance that is remembered is the unbiased one."""
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        unbiased = variance * (count / (count - 1))
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)

    def extra_repr(self) -> str:
        """What the layer prints of itself."""
        return f"{super().extra_repr()}, p={self.p}, gradient={self.gradient}"


def with_stochastic_norms(network: nn.Module, p: float, gradient: str) -> None:
    """Put a stochastic normalisation in the place of every batch normalisation of a network.

    Args:
        network: The network; its parameters and their names stay.
        p: Chance that a channel takes the statistics of the batch.
        gradient: ``own`` or ``moved``.
    """
    norms = [(name, part) for name, part in network.named_modules() if isinstance(part, BATCH_NORM)]
    for name, norm in norms:
        network.set_submodule(name, StochNorm.like(norm, p, gradient))
