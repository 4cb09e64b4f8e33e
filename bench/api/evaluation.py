"""Evaluation of any model on the official test part, without training."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.api.calls import api_call
from bench.api.requests import FilePath
from bench.api.scores import Scores
from bench.core.datasets import TRAIN
from bench.core.errors import RunError, SpecError
from bench.core.paths import cache_folder
from bench.core.text import echoed
from bench.data.bank import prepare_bank
from bench.data.feature_progress import features_counted
from bench.data.frontends.chosen import choose_front_end
from bench.data.location import locate_data
from bench.data.sources import load_dataset
from bench.engine.data import RunData, extremes_of
from bench.engine.inputs import evaluation_inputs
from bench.engine.result import test_cycles
from bench.engine.votes import mean_vote

if TYPE_CHECKING:
    from bench.data.dataset import Dataset

Model = nn.Module | Callable[[Tensor], Any]

NEAR_ONE = 1e-2
"""How far from 1 the sum of probabilities may be: that of a few numbers in bf16."""


@api_call
def evaluate(
    model: Model,
    *,
    frontend: str,
    data: FilePath,
    dataset: str | None = None,
    task: str | None = None,
    frontend_options: Mapping[str, Any] | None = None,
    batch: int = 32,
    allow_partial: bool = False,
    cache: FilePath | None = None,
    plugins: FilePath | Sequence[FilePath] = (),
) -> Scores:
    """Evaluate a model, trained anywhere, on the official test part.

    Args:
        model: A torch module, or any function of a batch of pictures (batch, 1, frames, mels), that gives logits or
            probabilities (batch, classes), in the order of the task's classes. A module is evaluated where its
            parameters are and left in the mode that it was in; a function gets its pictures on the CPU.
        frontend: Id of the front-end that makes the pictures (`bench frontends list`).
        data: Folder of the data, or ``demo`` for the simulated set.
        dataset: Id of the data set (default: the one that the folder holds).
        task: Id of the task (default: the first of the data set).
        frontend_options: Options of the front-end, as ``{"seconds": 4}``; the others keep their defaults.
        batch: Cycles of a forward pass.
        allow_partial: Evaluate although recordings are missing.
        cache: Cache folder (default: ``BENCH_CACHE`` or the user's).
        plugins: Files with front-ends or data sets of your own.

    Returns:
        Metrics and predictions of every test cycle.

    Raises:
        SpecError: For an unknown front-end or option, or outputs of another shape.
        RunError: If an output is not finite.
        DataError: If the data are missing or broken.
    """
    from bench.experiment.plugins import load_plugins

    if batch < 1:
        raise SpecError(f"batch is {batch}, but must be at least 1.")
    load_plugins([plugins] if isinstance(plugins, str | Path) else plugins)
    folder = cache_folder(cache)
    place, card = locate_data(data, dataset, folder)
    loaded = load_dataset(place, card.id, task, allow_partial=allow_partial, cache=folder)
    test = _test_data(loaded, frontend, frontend_options or {}, folder)
    _, cycle_of = test.cycles_of(test.test)
    scores = mean_vote(_probabilities(_outputs(model, test, batch)), cycle_of)
    return Scores.of(test_cycles(test), scores, loaded.name, loaded.partial, loaded.task)


def _test_data(dataset: Dataset, frontend: str, options: Mapping[str, Any], cache: Path) -> RunData:
    """The test part of a data set with its pictures, from the bank that runs use too."""
    with features_counted(frontend) as on_progress:
        bank = prepare_bank(dataset, frontend, options, cache, on_progress=on_progress)
    recordings = {recording.name: recording for recording in dataset.recordings}
    is_test = [recordings[cycle.recording].split != TRAIN for cycle in bank.cycles]
    none = np.array([], dtype=np.int64)
    extremes = extremes_of(bank, choose_front_end(frontend, options).build())
    return RunData(
        bank,
        train=none,
        val=none,
        test=np.flatnonzero(is_test),
        recordings=recordings,
        task=dataset.task,
        card=dataset.card,
        extremes=extremes,
    )


def _outputs(model: Model, data: RunData, batch: int) -> Tensor:
    """What a model says of every test row, in their order: (n, classes) float64 on the CPU."""
    rows, device = data.test, _device(model)
    found = torch.zeros(len(rows), len(data.task.classes), dtype=torch.float64)
    with _evaluating(model), torch.inference_mode():
        for start in range(0, len(rows), batch):
            part = np.arange(start, min(start + batch, len(rows)))
            x: Any = evaluation_inputs(data, rows, part, device)
            found[start : start + batch] = _checked(model(x), (len(part), len(data.task.classes)))
    return found


def _device(model: Model) -> torch.device:
    """Where the parameters of a model are; the CPU for a function, and for a module without any."""
    parameters = model.parameters() if isinstance(model, nn.Module) else iter(())
    return next((parameter.device for parameter in parameters), torch.device("cpu"))


@contextlib.contextmanager
def _evaluating(model: Model) -> Iterator[None]:
    """A module in evaluation mode while the block runs; each of its parts is then in its own mode again."""
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    before = [module.training for module in modules]
    try:
        for module in modules:
            module.training = False
        yield
    finally:
        for module, training in zip(modules, before, strict=True):
            module.training = training


def _checked(outputs: Any, shape: tuple[int, int]) -> Tensor:
    """A batch's outputs (rows, classes) in float64; raises SpecError or RunError where they cannot be judged."""
    try:
        found = torch.as_tensor(outputs).detach().double().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise SpecError(
            f"The model gives {echoed(type(outputs).__name__)}, but must give a tensor (batch, {shape[1]})."
        ) from error
    if found.shape != shape:
        raise SpecError(f"The model gives {tuple(found.shape)} for {shape[0]} pictures, but must give {shape}.")
    if not bool(found.isfinite().all()):
        raise RunError("The model's outputs are not finite.")
    return found


def _probabilities(outputs: Tensor) -> NDArray[np.float64]:
    """Probabilities (n, classes): outputs that are that already, every row of them, or the softmax of logits."""
    is_probability = bool((outputs >= 0).all()) and bool(((outputs.sum(-1) - 1).abs() < NEAR_ONE).all())
    found: NDArray[np.float64] = (outputs if is_probability else outputs.softmax(-1)).numpy()
    return found
