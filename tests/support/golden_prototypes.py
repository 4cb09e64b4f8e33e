"""What the golden sets of CNN8, CNN8-Pt and the dilated networks are made of (README C, sections 1 and 3)."""

from __future__ import annotations

import itertools
from typing import Any

import golden_rules
import numpy as np
import torch
from golden_recordings import pretend_samples
from golden_systems import rng
from torch import Tensor, nn

import baselines
import methods
from baselines.prototypes.model import official_name
from bench.data.frontends.l3s.card import RATE, L3SOptions
from bench.data.frontends.l3s.frontend import L3SFrontEnd
from bench.data.units import UnitWaves
from bench.engine.graph import TrainingGraph
from bench.engine.optim import OptimOptions, build_optimizer
from methods.base import Batch

PRECISIONS = {"f32": torch.float32, "f64": torch.float64}

HEAD = "head"
"""Part of a network that follows the encoder."""


def wave(seed: int, name: str, batch: int, count: int = 16_000) -> np.ndarray:
    """Waveforms (batch, count) at 4 kHz, float32."""
    rows = [pretend_samples(rng(seed, f"{name}:{i}"), RATE, 16, count) for i in range(batch)]
    return (np.stack(rows) / 2**15).astype(np.float32)


def maps(seed: int, name: str, batch: int) -> np.ndarray:
    """Maps (batch, 512, 7, 8) as an encoder gives them, one cell of the first being all zero; float32."""
    found = np.maximum(rng(seed, name).standard_normal((batch, 512, 7, 8)), 0)
    found[0, :, 2, 3] = 0
    return found.astype(np.float32)


def normal(seed: int, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Standard normal numbers."""
    return torch.from_numpy(rng(seed, name).standard_normal(shape)).to(dtype)


def weight(seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A generated weight for a name of the authors."""
    drawn = rng(seed, name).standard_normal(shape)
    special = {
        "cnn_encoder.bn0.running_mean": -17 + 2 * drawn,
        "cnn_encoder.bn0.running_var": 400 * (1 + np.abs(drawn)),
        "prototypelayer.prototype": 0.5 * drawn,
    }
    return np.float32(special[name]) if name in special else golden_rules.weight(seed, name, shape)


def network(seed: int, model_id: str, precision: str, part: str = "", **options: Any) -> nn.Module:
    """A network without dropout and with generated weights, or with those of its parts without the encoder."""
    model = baselines.create(model_id, **options)
    for name, tensor in itertools.chain(model.named_parameters(), model.named_buffers()):
        if part != HEAD or not name.startswith("encoder."):
            tensor.data.copy_(torch.from_numpy(np.asarray(weight(seed, official(model, name), tuple(tensor.shape)))))
    for layer in model.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    return model.to(PRECISIONS[precision])


def official(model: Any, name: str) -> str:
    """The authors' name of a tensor of a network."""
    return official_name(name, vector=getattr(model.options, "prototypes", "") == "vector1d")


def pictures(waves: np.ndarray, precision: str) -> Tensor:
    """Pictures of waveforms of one length, computed in a precision."""
    frontend = L3SFrontEnd(L3SOptions(seconds=waves.shape[1] / RATE))
    return frontend.picture(UnitWaves.of(list(torch.from_numpy(waves).to(PRECISIONS[precision]))))


def distance(golden: Any, key: str, found: Tensor, precision: str = "") -> float:
    """The largest difference of an array and what is stored of it, at some places or whole; its size must be right."""
    suffix = f"_{precision}" if precision else "_val"
    values, flat = golden.arrays[f"{key}{suffix}"], found.detach().double().numpy().reshape(-1)
    if f"{key}_pos" in golden.arrays:
        assert flat.size == np.prod(golden.arrays[f"{key}_shape"])
        flat = flat[golden.arrays[f"{key}_pos"]]
    assert flat.size == values.size
    return float(np.abs(flat - values.reshape(-1).astype(np.float64)).max())


def points(model: Any, x: Tensor) -> dict[str, Tensor]:
    """What the networks compute on the way, by the sets' names, and their outputs."""
    found: dict[str, Tensor] = {}
    parts = {"bn0": model.encoder.bn0} | {f"block{i}": block for i, block in enumerate(model.encoder.blocks(), start=1)}
    hooks = [
        part.register_forward_hook(lambda _, __, out, name=name: found.update({name: out.clone()}))
        for name, part in parts.items()
    ]
    found["logits"] = model(x)
    for hook in hooks:
        hook.remove()
    found["log_probs"] = found["logits"].log_softmax(1)
    return found


def training_graph(model: nn.Module, weights: list[float]) -> TrainingGraph:
    """A network with class-weighted cross-entropy, whose weights are given."""
    method: Any = methods.create("ce", feature_dim=1, class_counts=[1] * len(weights))
    method.weights = torch.tensor(weights)  # float32, as the authors make them in double precision too
    return TrainingGraph(model, method)


def train(graph: TrainingGraph, inputs: list[Tensor], labels: list[int]) -> list[dict[str, float]]:
    """Train a graph for a step on each input, as the recipe says; the losses of each step."""
    optimiser = build_optimizer([(one, 1.0) for one in graph.parameters()], OptimOptions(lr=1e-3, weight_decay=0.0))
    graph.train()
    losses = []
    for step, x in enumerate(inputs):
        rows = slice(step * len(x), (step + 1) * len(x))
        batch = Batch(features=x, labels=torch.tensor(labels[rows]), local=slice(0, len(x)))
        found = graph(batch, None)
        optimiser.zero_grad()
        found["loss"].backward()
        optimiser.step()
        losses.append({name: float(value.detach()) for name, value in found.items()})
    return losses


def trained_distances(model: Any, seed: int, record: dict[str, Any]) -> tuple[float, float]:
    """How far a trained network is from a record in float64.

    Returns:
        The largest difference of the recorded values, and of the relative changes of tensors.
    """
    state = {official(model, name): tensor.detach().double().numpy() for name, tensor in model.named_parameters()}
    unused = set(record["parameters_without_gradient"])
    values = [
        abs(state[name].reshape(-1)[place] - after)
        for name, place, _, after, _ in record["values"]
        if name not in unused
    ]
    changes = []
    for name, tensor in state.items():
        change = np.linalg.norm(tensor - weight(seed, name, tensor.shape).astype(np.float64))
        changes.append(abs(change / record["tensors"][name]["change_norm"] - 1))
    return max(values), max(changes)
