"""A trained run written as a file, which is tried against the run before it is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

import baselines
from bench.core.files import output_path
from bench.data.frontends import LearningFrontEnd
from bench.engine.export.examples import examples_for
from bench.engine.export.formats import OnnxProgram, TorchProgram, Weights, Writable
from bench.engine.export.parity import Loaded, Parity, Trial, compared, trials_of
from bench.engine.export.programs import FromPictures, Program, program_of
from bench.engine.graph import give_own_head
from bench.engine.learnt_frontend import read_learnt
from bench.engine.random_states import random_states_kept
from bench.engine.saved_weights import own_tensors
from bench.engine.trained import TrainedRun
from methods.base import ScoringMethod

Kind = Literal["torch", "onnx", "safetensors"]

DOCUMENT, CARD = "lungbench.json", "model_card.md"
"""Names of the texts in a file: what it is, as JSON, and the card of the model."""

WEIGHTS_ALONE, ON_REQUEST = "the file holds weights alone", "it was left out on request"
"""Why a front-end is no part of a file that could have held it."""

STEPS = 4
"""Steps of an export that take their time."""

FRONTEND, METHOD = "frontend.", "method."
"""What the names of tensors begin with that are not of the model: what the front-end and the method learnt."""


def write_export(
    run: TrainedRun,
    kind: Kind,
    out: Path,
    texts: Callable[[Mapping[str, Any]], Mapping[str, str]],
    *,
    opset: int,
    with_frontend: bool,
    on_step: Callable[[int], None],
) -> Mapping[str, Any]:
    """Write a run as a file that was compared with it.

    Args:
        run: The run, opened on the CPU in single precision.
        kind: What file.
        out: Where it goes.
        texts: Makes the texts of the file of what the program and the comparison say of themselves.
        opset: Version of ONNX's operators.
        with_frontend: Whether the front-end is to be part of it where it can be.
        on_step: Called with the number of steps that are done, of :data:`STEPS`.

    Returns:
        What the program and the comparison say of themselves.

    Raises:
        RunError: If the model cannot be traced, or the file does not give what the run gives; nothing is written.
        StoreError: If the file cannot be written.
    """
    # First of all: a place that nothing can be written to is told before minutes of work.
    with output_path(out) as path:
        on_step(0)
        examples = examples_for(run)
        reason = WEIGHTS_ALONE if kind == "safetensors" else None if with_frontend else ON_REQUEST
        program = program_of(run, without_frontend=reason)
        trials = trials_of(run, program, examples)
        on_step(1)
        writable = _writable(run, kind, program, trials, opset)
        on_step(2)
        writable.write(path, {})
        parity: Parity = compared(writable.load(path), trials, examples.source)
        on_step(3)
        described = {**program.described(), "parity": parity.to_json()}
        # Written once more: what came out of the comparison stands in the file.
        writable.write(path, texts(described))
    on_step(STEPS)
    return described


def _writable(run: TrainedRun, kind: Kind, program: Program, trials: list[Trial], opset: int) -> Writable:
    # The last one has several rows: a trace with one row would take that for all there can be. Zeros, because a traced
    # program keeps what it was traced with, and recordings are of patients.
    example = {name: torch.zeros_like(tensor) for name, tensor in trials[-1][0].items()}
    if kind == "onnx":
        return OnnxProgram(program, example, opset)
    if kind == "torch":
        return TorchProgram(program, example)
    return Weights(_all_tensors(run), lambda tensors: _rebuilt(run, program, tensors))


def _all_tensors(run: TrainedRun) -> dict[str, Tensor]:
    """The tensors of the model by its own names; those of front-end and method, where they take part, with a prefix."""
    found = own_tensors(run.graph.model)
    if isinstance(run.frontend, LearningFrontEnd):
        learnt = read_learnt(run.run.folder.frontend, run.spec)
        found |= {FRONTEND + name: tensor for name, tensor in learnt.items()}
    if isinstance(run.graph.method, ScoringMethod):
        found |= {METHOD + name: tensor for name, tensor in own_tensors(run.graph.method).items()}
    return found


def _rebuilt(run: TrainedRun, program: Program, tensors: Mapping[str, Tensor]) -> Loaded:
    """A new model with the tensors of a file, as whoever loads the file would make it."""
    with random_states_kept():
        model = baselines.create(run.spec.model, len(run.classes), cache=Path(run.spec.cache), **run.spec.model_options)
        give_own_head(model, run.spec, len(run.classes))
    own = {name: tensor for name, tensor in tensors.items() if not name.startswith((FRONTEND, METHOD))}
    model.load_state_dict(own)
    names = tuple(one.name for one in program.inputs)
    original: Any = program.module
    module = FromPictures(model, run.graph.method, run.frontend, original.names, run.batch_extremes).eval()

    def loaded(inputs: Mapping[str, Tensor]) -> Any:
        with torch.no_grad():
            return module(*(inputs[name] for name in names)).numpy()

    return loaded


def texts_of(document: Mapping[str, Any], card: str) -> dict[str, str]:
    """The texts of a file by name.

    Args:
        document: What the file is.
        card: The card of the model.
    """
    return {DOCUMENT: json.dumps(document, ensure_ascii=False), CARD: card}
