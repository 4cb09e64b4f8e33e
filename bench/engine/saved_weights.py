"""The weights that a run leaves: of the epochs that the selection rules chose, and of the stages before the last."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from bench.core.files import atomic_path
from bench.engine.graph import TrainingGraph
from bench.experiment.spec import RunSpec
from leaderboard.results.run_folder import RunFolder


def save_weights(graph: TrainingGraph, folder: RunFolder, which: str, spec: RunSpec) -> None:
    """Save a model, by its own names, and in a file beside it what its method has learnt, where it has learnt any.

    Args:
        graph: Model and method.
        folder: The run's folder.
        which: A selection rule, or a stage (:func:`leaderboard.results.run_folder.stage_name`).
        spec: The spec of the run.

    Raises:
        StoreError: If a file cannot be written.
    """
    metadata = {"rule": which, "run_id": spec.run_id}
    if graph.method.state_dict():
        _save(graph.method, folder.method_weights_of(which), {"method": spec.method, **metadata})
    # The model last: where it is, what belongs to it is there too.
    _save(graph.model, folder.weights_of(which), {"model": spec.model, **metadata})


def _save(module: nn.Module, target: Path, metadata: Mapping[str, str]) -> None:
    with atomic_path(target) as path:
        try:
            save_file(own_tensors(module), path, metadata=dict(metadata))
        except SafetensorError as error:
            # Its own error hides the system's: a full disk is to be told as one.
            raise OSError(str(error)) from error


def own_tensors(module: nn.Module) -> dict[str, Tensor]:
    """The state of a module, in which no two tensors share memory: a file holds each by itself."""
    found, seen = dict[str, Tensor](), set[int]()
    for name, value in module.state_dict().items():
        tensor = value.detach().cpu().contiguous()
        place = tensor.untyped_storage().data_ptr()
        found[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return found
