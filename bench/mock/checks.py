"""The checks of ``bench mock-run``; :data:`CHECKS` has them in the order in which a contributor meets them."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bench.core.datasets import FOUR_CLASSES, TRAIN
from bench.core.errors import InterruptedRunError, SpecError
from bench.core.text import counted_noun
from bench.data.sources import load_dataset
from bench.engine.graph import TrainingGraph
from bench.engine.trainer import Trainer
from bench.experiment.card_checks import card_problems
from bench.launch.once import Launched
from bench.mock.checked_pair import CheckedPair
from leaderboard.results.predictions import Predictions, read_predictions
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.schema import task_of
from methods.base import Stage

STOP_IN_STEP = 3
"""The interrupted run ends after this step, in the middle of its second epoch."""

SAME_STATE = 1e-6
"""Largest difference of outputs and losses of one state: the same arithmetic on the same numbers."""

SAME_RUN = 1e-4
"""Largest difference of scores and losses of one and two processes, which add up gradients in another order."""

SHOWN = 3
"""Names that a failed check lists at most."""


class CheckFailedError(Exception):
    """A check's reason to fail, one sentence without the full stop."""


class CheckSkippedError(Exception):
    """A check's reason not to judge, one sentence without the full stop."""


@dataclass(frozen=True)
class Check:
    """One check of a model with a method.

    Attributes:
        name: Name of the check, one word.
        title: Clause that says what the check makes sure of.
        run: Does the check; returns a clause on what it found and raises for anything wrong.
        needs: Names of checks that must have passed for this one to say anything.
    """

    name: str
    title: str
    run: Callable[[CheckedPair], str]
    needs: tuple[str, ...] = ()


def _check_card(pair: CheckedPair) -> str:
    entries = (pair.model, pair.method, pair.frontend)
    problems = [f"{entry.id}: {problem}" for entry in entries for problem in card_problems(entry.card)]
    if problems:
        raise CheckFailedError("; ".join(problems))
    stated = ", ".join(f"{entry.id} from {entry.origin} ({entry.card.fidelity})" for entry in entries)
    return f"{stated}; run {pair.spec.run_id}"


def _check_build(pair: CheckedPair) -> str:
    graph = pair.graph()
    model: Any = graph.model
    for part, names in ((model, ("features", "classifier", "feature_dim")), (graph.method, ("draw",))):
        lacking = [name for name in names if not hasattr(part, name)]
        if lacking or not isinstance(part, nn.Module):
            raise CheckFailedError(f"{type(part).__name__} must be a torch.nn.Module with {', '.join(names)}")
    clips, rows, classes = pair.clips(pair.data.test), len(pair.data.test), len(pair.data.task.classes)
    model.eval()
    for what, of, width in (("features", model.features, model.feature_dim), ("logits", model, classes)):
        with torch.no_grad():
            found = tuple(of(clips).shape)
        if found != (rows, width):
            raise CheckFailedError(f"{what} of {rows} clips are {found}, not {(rows, width)}")
    return f"{model.feature_dim} features, {classes} logits"


def _check_parameters(pair: CheckedPair) -> str:
    """Compare the number of parameters with the card's, where the model has the options that the card counted."""
    graph, card = pair.graph(), pair.model.card
    model, method = (sum(p.numel() for p in part.parameters()) for part in (graph.model, graph.method))
    as_on_card = pair.spec.model_options == dataclasses.asdict(card.options())
    # Cards count the outputs of four classes.
    is_counted = as_on_card and len(pair.data.task.classes) == len(FOUR_CLASSES.classes)
    if is_counted and card.parameters not in (None, model):
        raise CheckFailedError(f"the model has {model:,} parameters, but its card says {card.parameters:,}")
    options = "its own options" if as_on_card else "the options of its demo recipe"
    return f"{model:,} in the model with {options}, {method:,} in the method"


def _check_forward(pair: CheckedPair) -> str:
    found = []
    for stage, losses in pair.losses(pair.graph()):
        _refuse_odd_losses(stage, losses)
        found.append(f"{stage.name}: {', '.join(f'{name} {value.item():.4f}' for name, value in losses.items())}")
    return "; ".join(found)


def _refuse_odd_losses(stage: Stage, losses: Any) -> None:
    if not isinstance(losses, Mapping) or "loss" not in losses:
        raise CheckFailedError(f"stage {stage.name}: the method returns no mapping with 'loss'")
    for name, value in losses.items():
        if not isinstance(value, Tensor) or value.ndim:
            raise CheckFailedError(f"stage {stage.name}: '{name}' is no scalar tensor")
        if not bool(value.isfinite()):
            raise CheckFailedError(f"stage {stage.name}: '{name}' is {value.item()}")


def _check_backward(pair: CheckedPair) -> str:
    graph, reached = pair.graph(), set[str]()
    for stage, losses in pair.losses(graph):
        graph.zero_grad(set_to_none=True)
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        trained = {name: parameter.grad for name, parameter in graph.named_parameters() if parameter.requires_grad}
        without = [name for name, gradient in trained.items() if gradient is None]
        if without:
            raise CheckFailedError(f"stage {stage.name}: no gradient reaches {_first_names(without)}")
        odd = [
            name for name, gradient in trained.items() if gradient is not None and not bool(gradient.isfinite().all())
        ]
        if odd:
            raise CheckFailedError(f"stage {stage.name}: the gradient is not finite for {_first_names(odd)}")
        reached.update(trained)
    return f"{len(reached)} tensors"


def _first_names(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _check_state(pair: CheckedPair) -> str:
    """Save a state that a step has moved, load it into a graph of another seed, and compare what both give."""
    first, second = pair.graph(seed=1), pair.graph(seed=2)
    _all_losses(pair, first)
    path = pair.folder / "state.safetensors"
    save_file({name: value.contiguous() for name, value in first.state_dict().items()}, path)
    second.load_state_dict(load_file(path))
    clips = pair.clips(pair.data.test)
    with torch.no_grad():
        outputs = [graph.model.eval()(clips) for graph in (first, second)]
    difference = float((outputs[0] - outputs[1]).abs().max())
    if not difference <= SAME_STATE:
        raise CheckFailedError(
            f"outputs of the loaded model differ by {difference:.2g}: part of it is not in its state"
        )
    if _largest_difference(_all_losses(pair, first), _all_losses(pair, second)) > SAME_STATE:
        raise CheckFailedError("losses of the loaded method differ: part of what it remembers is not in its state")
    return f"{len(first.state_dict())} tensors"


def _all_losses(pair: CheckedPair, graph: TrainingGraph, seed: int = 1) -> list[float]:
    torch.manual_seed(seed)
    return [losses["loss"].item() for _, losses in pair.losses(graph)]


def _check_run(pair: CheckedPair) -> str:
    losses = _epoch_losses(pair.finished)
    return f"{counted_noun(len(losses), 'epoch')}, loss {losses[0]:.4f} to {losses[-1]:.4f}"


def _check_resume(pair: CheckedPair) -> str:
    _stop_midway(pair, RunFolder.of_run(pair.folder / "resumed", pair.spec.run_id).path)
    _compare_runs(pair.finished, pair.launch("resumed"), 0.0, "the resumed run")
    return f"stopped after step {STOP_IN_STEP}; scores and losses are the same to the last digit"


def _stop_midway(pair: CheckedPair, folder: Path) -> None:
    """Train until a signal, as Ctrl-C or a scheduler sends it, comes in the middle of an epoch."""
    trainer, steps = Trainer(pair.spec, pair.data, folder), 0

    def stop_in_time(*unused: object) -> None:
        nonlocal steps
        steps += 1
        if steps == STOP_IN_STEP:
            signal.raise_signal(signal.SIGTERM)

    trainer.method.register_forward_pre_hook(stop_in_time)
    try:
        trainer.fit()
    except InterruptedRunError:
        return
    if steps < STOP_IN_STEP:
        raise CheckSkippedError(f"the run has {counted_noun(steps, 'step')}, too few to be stopped in their midst")
    raise CheckFailedError("the run could not be interrupted")


def _check_processes(pair: CheckedPair) -> str:
    try:
        two = pair.launch("two", processes=2)
    except SpecError as refused:
        raise CheckSkippedError(f"several processes are refused: {refused.message.rstrip('.')}") from refused
    difference = _compare_runs(pair.finished, two, SAME_RUN, "the run of two processes")
    return f"scores and losses differ by {difference:.1g} at most"


def _compare_runs(reference: Launched, other: Launched, tolerance: float, what: str) -> float:
    """The largest difference of scores and losses; above the tolerance the check has failed."""
    differences = {
        "scores": _largest_difference(_scores(reference), _scores(other)),
        "losses": _largest_difference(_epoch_losses(reference), _epoch_losses(other)),
    }
    for name, difference in differences.items():
        if not difference <= tolerance:
            raise CheckFailedError(f"{name} of {what} differ by {difference:.2g}, allowed is {tolerance:g}")
    return max(differences.values())


def _largest_difference(one: ArrayLike, other: ArrayLike) -> float:
    return float(np.abs(np.asarray(one) - np.asarray(other)).max())


def _epoch_losses(run: Launched) -> list[float]:
    return [entry["loss"] for entry in run.document["epochs"]]


def _last_predictions(run: Launched) -> Predictions:
    classes = task_of(run.document).task.classes
    return read_predictions(run.folder / run.document["predictions"]["last"], classes)


def _scores(run: Launched) -> np.ndarray:
    """(test cycles, classes) class probabilities of the last epoch."""
    scores = _last_predictions(run).scores
    assert scores is not None
    return scores


def _check_evaluation(pair: CheckedPair) -> str:
    recordings = load_dataset(
        Path(pair.spec.data), pair.spec.dataset, pair.spec.task, cache=Path(pair.spec.cache)
    ).recordings
    expected = sorted((r.name, c.index) for r in recordings if r.split != TRAIN for c in r.cycles)
    found = sorted(_last_predictions(pair.finished).keys)
    if found != expected:
        raise CheckFailedError(
            f"{counted_noun(len(found), 'cycle was', 'cycles were')} evaluated, but the test part holds "
            f"{len(expected)} others"
        )
    return f"{counted_noun(len(found), 'test cycle')}, each once"


CHECKS = (
    Check("card", "the card is complete and its recipe resolves", _check_card),
    Check("build", "model and method are built and have the right shapes", _check_build, ("card",)),
    Check("parameters", "the card's number of parameters is right", _check_parameters, ("build",)),
    Check("forward", "the losses are finite scalars", _check_forward, ("build",)),
    Check("backward", "every trained parameter gets a finite gradient", _check_backward, ("forward",)),
    Check("state", "a saved state that is loaded gives the same outputs", _check_state, ("forward",)),
    Check("run", "a run finishes", _check_run, ("forward",)),
    Check("resume", "an interrupted run that is resumed equals it", _check_resume, ("run",)),
    Check("processes", "two processes give the scores and losses of one", _check_processes, ("run", "backward")),
    Check("evaluation", "every test cycle is evaluated exactly once", _check_evaluation, ("run",)),
)
