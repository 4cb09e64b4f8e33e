"""How many times as fast as in fp32 this machine's CPU takes training steps in bf16: two small nets, about two seconds.

Steps of both precisions take turns, and the CPU's time of one thread is taken: other programs on the machine then slow
both down alike, or do not count.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

ROUNDS = 5
WIDTH, HEADS, TOKENS = 192, 3, 400
"""Width and heads of AST-tiny, and tokens of a clip; of its twelve layers two are enough for a ratio."""

CHANNELS, PICTURE = (32, 64, 128), (128, 64)


def measure_ratios(rounds: int = ROUNDS) -> tuple[float, float]:
    """Measure a transformer of AST-tiny's width and a small convolution net, forward, backward and optimiser.

    Args:
        rounds: Steps in each precision that are counted; one before them is not.

    Returns:
        How many times as fast as fp32 bf16 is for the transformer, and for the convolutions; medians.
    """
    import torch

    from bench.data.bank_folder import one_thread

    # The random numbers of a program that asks for a run's spec stay its own.
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.manual_seed(0)
        return _ratio(_transformer_step(), rounds), _ratio(_convolution_step(), rounds)


def _ratio(step: Callable[[bool], None], rounds: int) -> float:
    """Median of how much longer a step takes in fp32 than the step in bf16 after it."""
    ratios = []
    for _ in range(rounds + 1):
        single, half = (_seconds(step, bf16) for bf16 in (False, True))
        ratios.append(single / max(half, 1e-9))
    # The first steps also build kernels and take memory from the system.
    return statistics.median(ratios[1:])


def _seconds(step: Callable[[bool], None], bf16: bool) -> float:
    began = time.thread_time()
    step(bf16)
    return time.thread_time() - began


def _transformer_step() -> Callable[[bool], None]:
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before, self.after = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            self.packed, self.joined = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
            self.wide, self.narrow = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

        def forward(self, x: Tensor) -> Tensor:
            heads = self.packed(self.before(x)).view(*x.shape[:2], 3, HEADS, -1).permute(2, 0, 3, 1, 4).contiguous()
            seen = nn.functional.scaled_dot_product_attention(*heads.unbind())
            x = x + self.joined(seen.transpose(1, 2).reshape(x.shape))
            narrow: Tensor = self.narrow(nn.functional.gelu(self.wide(self.after(x))))
            return x + narrow

    return _step(nn.Sequential(Block(), Block()), torch.randn(2, TOKENS, WIDTH))


def _convolution_step() -> Callable[[bool], None]:
    import torch
    from torch import nn

    layers: list[nn.Module] = []
    for inputs, outputs in zip((1, *CHANNELS), CHANNELS, strict=False):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        layers += [nn.AvgPool2d(2)]
    # As the engine lays out the pictures of convolution nets, which is where bf16 is quick.
    pictures = torch.randn(4, *PICTURE, 1).permute(0, 3, 1, 2)
    return _step(nn.Sequential(*layers), pictures)


def _step(net: nn.Module, inputs: Tensor) -> Callable[[bool], None]:
    """A training step of a net with any inputs, in bf16 or in fp32, as the engine takes it."""
    import torch

    optimizer = torch.optim.Adam(net.parameters(), fused=True)

    def take(bf16: bool) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = net(inputs).float().square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return take
