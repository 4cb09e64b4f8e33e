"""Finished runs that nobody has trained: initial weights in a run folder, with the scores of the run's evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import board_runs
import numpy as np
import torch

from bench.core.files import write_json
from bench.engine.accelerator import build_accelerator
from bench.engine.data import RunData, open_run_data
from bench.engine.evaluate import judge_cycles
from bench.engine.graph import TrainingGraph, build_graph
from bench.engine.learnt_frontend import with_learnt_frontend
from bench.engine.result import test_cycles, typical_extremes
from bench.engine.saved_weights import save_weights
from bench.experiment.recipes import Request, choose_source, resolve
from bench.experiment.spec import RunSpec
from leaderboard.results.predictions import write_cycles, write_predictions
from leaderboard.results.run_folder import RunFolder


def made_run(request: Request, home: Path) -> tuple[RunFolder, dict[tuple[str, int], np.ndarray]]:
    """Write the folder of a run with initial weights.

    Returns:
        The folder, and the scores of each test cycle by recording and cycle, from the engine's evaluation.
    """
    (spec,) = resolve(request, choose_source(request), [1])
    folder = RunFolder.of_run(home, spec.run_id)
    folder.path.mkdir(parents=True)
    write_json(folder.spec, spec.to_json())
    data = with_learnt_frontend(open_run_data(spec), spec, folder)
    graph = build_graph(spec, data.class_counts())
    shake(graph)
    save_weights(graph, folder, "last", spec)
    cycles, (scores, judged) = test_cycles(data), evaluated(graph, data, spec)
    write_cycles(folder.cycles, cycles)
    write_predictions(folder.predictions("last"), cycles.keys, scores, data.task.classes)
    document = board_runs.document(spec.identity(), run_id=spec.run_id, profile=spec.profile)
    document["metrics"]["last"] = {name: {**metrics, "epoch": 1} for name, metrics in judged.items()}
    document["predictions"]["last"] = folder.predictions("last").name
    document["provenance"] |= typical_extremes(spec, data)
    row = {"loss": 1.0, "lr": 0.1, "seconds": 1.0, "cycles_per_second": 1.0, "test": judged, "val": None}
    folder.write({**document, "epochs": [{"epoch": 1, **row}]})
    return folder, dict(zip(cycles.keys, scores, strict=True))


def shake(graph: TrainingGraph) -> None:
    """Move every parameter a little: some models begin with outputs that are the same for whatever they hear."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in graph.model.parameters():
            parameter.add_(0.002 * torch.randn(parameter.shape, generator=generator))


def evaluated(graph: TrainingGraph, data: RunData, spec: RunSpec) -> tuple[np.ndarray, dict[str, Any]]:
    """Scores of the test cycles as a run evaluates them, and their metrics."""
    return judge_cycles(graph.eval(), data, data.test, build_accelerator(spec, processes=1), spec)
