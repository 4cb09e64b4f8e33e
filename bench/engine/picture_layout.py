"""How a convolution net's pictures lie in memory on a CPU: channels last, which its convolutions compute quickest.

Parameters, buffers, their gradients and the optimiser's state stay as they are: only what goes into a convolution is
laid out anew, once at the beginning of a net, since everything after it keeps the layout. What is computed is the same
but for rounding, so that this is no part of a run's id.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import baselines
from bench.experiment.spec import RunSpec


def lay_out_pictures(model: nn.Module, spec: RunSpec) -> None:
    """Let the convolutions of a run's model compute with channels last: on a CPU, where the model's card allows it.

    In bf16 this is faster for all of these models; in fp32 it is for those with depth-wise convolutions alone.

    Args:
        model: The model.
        spec: The spec of the run.
    """
    if spec.distribution.device != "cpu" or not baselines.MODELS.card(spec.model).channels_last:
        return
    if spec.precision == "bf16" or any(map(_is_depthwise, model.modules())):
        compute_channels_last(model)


def _is_depthwise(part: nn.Module) -> bool:
    return isinstance(part, nn.Conv2d) and part.groups == part.in_channels > 1


def compute_channels_last(model: nn.Module) -> None:
    """Let the two-dimensional convolutions of a model compute with channels last, and depth-wise ones quickly in bf16.

    Args:
        model: The model, on a CPU; it keeps its parameters and their names.
    """
    for part in model.modules():
        if isinstance(part, nn.Conv2d):
            part.register_forward_pre_hook(_channels_last)
            if _is_depthwise(part):
                # An attribute of this one layer goes before the class's method, and hooks still run around it.
                part.forward = partial(_depthwise, type(part).forward, part)  # type: ignore[method-assign]


def _channels_last(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
    if not inputs or not isinstance(inputs[0], Tensor) or inputs[0].ndim != 4:
        return None
    x = inputs[0]
    if x.shape[1] == 1:
        # One channel lies the same both ways, and is taken for channels first unless its strides say otherwise.
        x = x.contiguous().squeeze(1).unsqueeze(-1).permute(0, 3, 1, 2)
    else:
        x = x.contiguous(memory_format=torch.channels_last)
    return (x, *inputs[1:])


def _depthwise(forward: Any, conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A depth-wise convolution, in single precision while it is trained.

    In bf16 its gradients take up to 25 times as long as in fp32, and a training step of EfficientNet-B0 twice as long.
    """
    # Not by whether gradients are on: activations that are computed again must be the same as the first time.
    if not (torch.is_autocast_enabled("cpu") and conv.training):
        plain: Tensor = forward(conv, x)
        return plain
    with torch.autocast("cpu", enabled=False):
        single: Tensor = forward(conv, x.float())
    return single.to(torch.get_autocast_dtype("cpu"))
