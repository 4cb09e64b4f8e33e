"""A training step as the authors take it: the state copied before, averaged and loaded again after, Adam unfused."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

BETA = 0.5
"""Share of the old state that is kept after a step."""


class PlainTraining:
    """Trains a module step by step.

    Args:
        module: Everything that is trained.
        lr: Learning rate.
        weight_decay: Added to the gradient (coupled).
        autocast: Precision of autocast; None for fp32 throughout. In fp16 the loss is scaled.
    """

    def __init__(
        self, module: nn.Module, lr: float = 5e-5, weight_decay: float = 1e-6, autocast: torch.dtype | None = None
    ) -> None:
        self.module, self.autocast = module.train(), autocast
        self.device = next(module.parameters()).device.type
        # One kernel for each operation and parameter: what Adam was before it was fused.
        self.optimizer = torch.optim.Adam(
            module.parameters(), lr=lr, weight_decay=weight_decay, foreach=False, fused=False
        )
        self.scaler = torch.amp.GradScaler(self.device, enabled=autocast is torch.float16)

    def step(self, loss_of: Callable[[], Tensor]) -> float:
        """Take a step.

        Args:
            loss_of: Computes the loss, forward pass and all.

        Returns:
            The loss, read at once as a progress meter does.
        """
        before = copy.deepcopy(self.module.state_dict())
        with torch.autocast(self.device, dtype=self.autocast, enabled=self.autocast is not None):
            loss = loss_of()
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(self.optimizer)
        self.scaler.update()
        after = self.module.state_dict()
        average = {name: BETA * before[name] + (1 - BETA) * value for name, value in after.items()}
        self.module.load_state_dict(average)
        return float(loss.item())
