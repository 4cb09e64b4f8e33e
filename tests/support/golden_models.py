"""Our models with the weights that a golden set's rules generate, under the official names."""

from __future__ import annotations

import numpy as np
import torch
from golden_rules import weight
from torch import nn

import baselines


def load_rule(seed: int, module: nn.Module, official: dict[str, str]) -> None:
    """Give each tensor of a module the value of its official name; ``official`` maps our prefixes to theirs."""
    state = {}
    for name, tensor in module.state_dict().items():
        ours = next(prefix for prefix in official if name.startswith(prefix))
        value = weight(seed, official[ours] + name.removeprefix(ours), tuple(tensor.shape))
        state[name] = torch.from_numpy(np.asarray(value))
    module.load_state_dict(state)


def ast_tiny(seed: int) -> nn.Module:
    """The official ``tiny224`` with the classifier that is a copy of ``mlp_head``."""
    model = baselines.create("ast-tiny")
    load_rule(seed, model, {"trunk.": "v.", "classifier.": "mlp_head."})
    return model
