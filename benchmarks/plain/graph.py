"""Model and method of a run in their plain form, with the numbers of the project's own."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from benchmarks.plain.ast import PlainAST
from benchmarks.plain.patchmix import PlainPatchMixCL

if TYPE_CHECKING:
    from bench.engine.graph import TrainingGraph
    from methods.base import Batch, Draw


class PlainGraph(nn.Module):
    """Model and method with the loss of a batch: an AST with naive attention, other models as they are.

    Args:
        graph: The project's model and method, whose parameters are copied.
        classes: Outputs of the classifier.
    """

    def __init__(self, graph: TrainingGraph, classes: int = 4) -> None:
        super().__init__()
        self.model = plain_model(graph.model, classes)
        self.method = copy.deepcopy(graph.method)

    def forward(self, batch: Batch, draw: Draw | None) -> Tensor:
        """The scalar loss of a batch."""
        loss: Tensor = self.method(self.model, batch, draw)["loss"]
        return loss


class PlainPatchMixGraph(nn.Module):
    """Patch-Mix CL in two passes, called as :class:`PlainGraph` is; arguments as there."""

    def __init__(self, graph: TrainingGraph, classes: int = 4) -> None:
        super().__init__()
        model: Any = graph.model
        self.both = PlainPatchMixCL(model.options, classes)
        self.both.load_state_dict(graph.state_dict())

    def forward(self, batch: Batch, draw: Draw | None) -> Tensor:
        """The scalar loss of a batch."""
        loss: Tensor = self.both(batch.features, batch.labels, draw)
        return loss


def plain_model(model: Any, classes: int = 4) -> nn.Module:
    """A model with the parameters of the project's: naive where it is an AST, else a copy of it."""
    from baselines.ast.model import AST

    if not isinstance(model, AST):
        return copy.deepcopy(model)
    plain = PlainAST(model.options, classes)
    plain.load_state_dict(model.state_dict())
    return plain


def plain_graph(graph: TrainingGraph, method: str, classes: int = 4) -> nn.Module:
    """The plain form of a model and a method, with their parameters."""
    kind = PlainPatchMixGraph if method == "patchmix-cl" else PlainGraph
    return kind(graph, classes)
