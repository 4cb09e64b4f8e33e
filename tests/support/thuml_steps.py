"""What the golden tests of StochNorm and Co-Tuning share: pictures, weights by the authors' names, three steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from golden_rules import rng, weight
from torch import Tensor, nn

from baselines.timm.cnn import OFFICIAL_NAMES
from baselines.timm.stochastic_norm import StochNorm
from bench.engine.graph import TrainingGraph
from bench.engine.optim import OptimOptions, build_optimizer
from bench.engine.stages import trained_with_factors
from methods.base import Batch

DTYPES = {"f32": torch.float32, "f64": torch.float64}
STEPS, ROWS = 3, 4

OFFICIAL = {title: {theirs: ours for ours, theirs in names.items()} for title, names in OFFICIAL_NAMES.items()}
"""Beginnings of the authors' names, and of ours: of the model, but for the source head, which is the method's."""


def noise_pictures(seed: int, name: str, batch: int, height: int, width: int) -> np.ndarray:
    """Pretend normalised pictures (batch, 3, height, width), float32 (README B, section 0, ``pic``)."""
    made = []
    for i in range(batch):
        g = rng(seed, f"{name}:{i}")
        u, v = g.standard_normal((4, height)), g.standard_normal((4, width))
        e, c = g.standard_normal((3, height, width)), g.standard_normal(3)
        made.append(0.5 * e + 0.5 * c[:, None, None] + sum(0.5 * np.outer(u[r], v[r]) for r in range(4)))
    return np.stack(made).astype(np.float32)


def our_name(official: str, names: Mapping[str, str]) -> str:
    """Our name of a tensor of the authors."""
    theirs = next(each for each in names if official.startswith(each))
    return names[theirs] + official.removeprefix(theirs)


def part_of(name: str) -> str:
    """Whose tensor a name of ours is: the method's source head, or the model's."""
    return "method" if name.startswith("source_head.") else "model"


def fill_model(model: nn.Module, seed: int, names: Mapping[str, str], official: Sequence[str]) -> None:
    """Give a model the golden set's weights; counters of batches, which some of the authors' nets lack, stay."""
    state = model.state_dict()
    found = {our_name(name, names): name for name in official}
    made = {
        ours: torch.from_numpy(weight(seed, theirs, state[ours].shape))
        for ours, theirs in found.items()
        if part_of(ours) == "model"
    }
    assert {name for name in state if not name.endswith("num_batches_tracked")} <= made.keys()
    model.load_state_dict({**state, **made})


def norms_in_call_order(trunk: nn.Module) -> list[tuple[str, StochNorm]]:
    """Stochastic normalisations of a ResNet in the order in which a forward pass calls them."""
    # Modules are listed in that order: a block's short cut stands behind its third normalisation.
    return [(name, part) for name, part in trunk.named_modules() if isinstance(part, StochNorm)]


def select_as_recorded(norms: Any, recorded: np.ndarray) -> Any:
    """Let normalisations take recorded selections in the place of draws, one forward pass after the other."""
    places = [0]

    def selection(norm: StochNorm) -> Tensor:
        start = places[0]
        places[0] += norm.num_features
        return torch.from_numpy(recorded[start : places[0]].astype(bool))

    for norm in [norms] if isinstance(norms, StochNorm) else norms:
        norm.select = lambda _device, norm=norm: selection(norm)
    return norms


def thuml_optimiser(facts: Mapping[str, Any], rate: float, head_rate: float) -> OptimOptions:
    """The authors' optimiser at given rates of the backbone and of the new head."""
    return OptimOptions(
        optimiser="sgd",
        lr=rate,
        momentum=facts["momentum"],
        nesterov=facts["nesterov"],
        weight_decay=facts["weight_decay"],
        classifier_rate=head_rate / rate,
        step_average=0.0,
    )


def train_three_steps(
    model: nn.Module,
    method: Any,
    optim: OptimOptions,
    x: Tensor,
    labels: Sequence[int],
) -> tuple[list[dict[str, float]], TrainingGraph]:
    """Take three steps, each on rows of its own, with the engine's graph and optimiser."""
    graph = TrainingGraph(model, method).train()
    optimizer = build_optimizer(trained_with_factors(graph, optim), optim)
    losses = []
    for step in range(STEPS):
        rows = slice(ROWS * step, ROWS * (step + 1))
        batch = Batch(features=x[rows], labels=torch.tensor(labels[rows]), local=slice(0, ROWS))
        found = graph(batch, None)
        optimizer.zero_grad()
        found["loss"].backward()
        optimizer.step()
        losses.append({name: float(value.detach()) for name, value in found.items()})
    return losses, graph


def state_by_our_names(graph: TrainingGraph) -> dict[str, Tensor]:
    """Tensors of model and method by name."""
    return {**graph.model.state_dict(), **graph.method.state_dict()}


def chosen_values(graph: TrainingGraph, order: Sequence[str], names: Mapping[str, str], places: np.ndarray) -> Tensor:
    """Values at places of all parameters joined in the authors' order."""
    state = state_by_our_names(graph)
    return torch.cat([state[our_name(name, names)].flatten() for name in order])[places]


def change_norms(
    graph: TrainingGraph, before: Mapping[str, Tensor], tensors: Sequence[str], names: Mapping[str, str]
) -> list[float]:
    """Norm of the change of each tensor."""
    state = state_by_our_names(graph)
    found = [our_name(name, names) for name in tensors]
    return [float((state[name].double() - before[name].double()).norm()) for name in found]
