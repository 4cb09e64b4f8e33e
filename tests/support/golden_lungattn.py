"""LungAttn's network with the weights that a golden set's rules generate."""

from __future__ import annotations

import numpy as np
import torch
from golden_rules import rng, weight

import baselines
from baselines.lungattn.model import official_name


def rule_weight(seed: int, name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The weight of the set's rule for an official name; the attention's positions are unit normal."""
    positional = name.endswith(("key_rel_w", "key_rel_h"))
    value = rng(seed, name).standard_normal(shape).astype(np.float32) if positional else weight(seed, name, shape)
    return torch.from_numpy(np.asarray(value))


def made_up_network(seed: int, dtype: torch.dtype) -> torch.nn.Module:
    """The network with the weights of the set's rule, without dropout."""
    model = baselines.create("resnet-att", dropout=0.0, feature_dropout=0.0, logit_dropout=0.0)
    values = {
        name: rule_weight(seed, official_name(name), tuple(tensor.shape)) for name, tensor in model.state_dict().items()
    }
    model.load_state_dict(values)
    return model.to(dtype).eval()
