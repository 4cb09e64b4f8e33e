"""Initial weights from another run: its model, and what its method had learnt where it is the same method."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from bench.core.errors import WeightsError
from bench.core.text import echoed
from bench.experiment.spec import RunSpec
from leaderboard.results.run_folder import RunFolder
from methods.base import HeadMethod


def load_initial_weights(model: nn.Module, method: nn.Module, spec: RunSpec) -> None:
    """Let model and method of a run begin with the weights that its spec names in ``init_from``, if it names any.

    The method's are taken where the run had the same method with tensors of the same shapes; otherwise it begins as it
    was built.

    Args:
        model: The model of the run.
        method: Its method.
        spec: Its spec.

    Raises:
        WeightsError: If the weights are missing, or are not those of that run or of such a model.
    """
    if spec.init_from is None:
        return
    run_id, _, which = spec.init_from.partition(":")
    if spec.init_weights is None:
        raise WeightsError(
            f"The spec starts from run {run_id}, but does not say where its folder is.",
            "Name the run with --init-from, or run the spec where that run is in the results folder.",
        )
    load_weights(model, method, RunFolder(Path(spec.init_weights)), which, run_id, spec)


def load_weights(
    model: nn.Module, method: nn.Module, folder: RunFolder, which: str, run_id: str, spec: RunSpec
) -> None:
    """Give model and method what a run has saved of them; the method's as :func:`load_initial_weights` does.

    Where a method brings a classifier of its own, the model gets it, if the saved weights have it.

    Args:
        model: The model.
        method: The method.
        folder: The folder of the run.
        which: A selection rule, or the end of a stage.
        run_id: Id of the run that the weights must be of.
        spec: Names model and method.

    Raises:
        WeightsError: If the weights are missing, or are not those of that run or of such a model.
    """
    path = folder.weights_of(which)
    if not path.is_file():
        raise WeightsError(f"There are no weights {path}.", "Run that run again.")
    metadata, tensors = _read(path)
    for name, wanted in (("run_id", run_id), ("model", spec.model)):
        if metadata.get(name) != wanted:
            found = echoed(metadata.get(name, "not said"), 80)
            raise WeightsError(f"The weights {path} are of {name} {found}, but those of {name} {wanted} are wanted.")
    difference = tensor_difference(model, tensors)
    if difference is not None and isinstance(method, HeadMethod):
        # A run of such a method saved the method's classifier with the model, in the place of the model's own.
        model.classifier = method.head()
        difference = tensor_difference(model, tensors)
    if difference is not None:
        raise WeightsError(
            f"The weights {path} do not fit the model: {difference}.", "Give the model the options that it had there."
        )
    model.load_state_dict(tensors)
    load_method_weights(method, folder.method_weights_of(which), run_id, spec.method)


def load_method_weights(method: nn.Module, path: Path, run_id: str, name: str) -> None:
    """Give a method what it had learnt in a run, where the file is there, of that method, and fits.

    Args:
        method: The method.
        path: The file.
        run_id: Id of the run that it must be of.
        name: Id of the method.
    """
    if not path.is_file():
        return
    metadata, tensors = _read(path)
    is_same = metadata.get("run_id") == run_id and metadata.get("method") == name
    if is_same and tensor_difference(method, tensors) is None:
        method.load_state_dict(tensors)


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"The weights {path} cannot be read: {echoed(error, 200)}.", "Run that run again."
        ) from error


def tensor_difference(module: nn.Module, tensors: dict[str, Tensor]) -> str | None:
    """The first tensor that a module has otherwise, in words; None where all have the same names and shapes.

    Args:
        module: The module.
        tensors: Tensors by name that it is to be given.
    """
    own = module.state_dict()
    for name in sorted(own.keys() | tensors.keys()):
        if name not in tensors:
            return f"they lack {name}"
        if name not in own:
            return f"the model has no {echoed(name, 80)}"
        if own[name].shape != tensors[name].shape:
            here, there = ("x".join(map(str, part.shape)) or "a number" for part in (own[name], tensors[name]))
            return f"{name} is {there} there, but {here} here"
    return None
