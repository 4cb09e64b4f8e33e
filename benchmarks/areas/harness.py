"""What the trainer adds to a step: its whole loop against a bare PyTorch loop of the same step."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.timing import Body, Clock, OwnSeconds
from benchmarks.runner import Benchmark, Case, Setting

STEPS = 12
BATCH = 8
SMALL_AST = {"embed_dim": 192, "depth": 4, "heads": 3, "frames": 198}


def harness_case(setting: Setting, folder: Path) -> Case:
    """Steps of one epoch, from the end of the first to the end of the last; evaluation and saving are left out."""
    from bench.engine.made_up import made_up_data, made_up_spec

    spec = made_up_spec(
        "ast", "ce", SMALL_AST, frontend_options={"seconds": 2.0}, batch=BATCH, device=setting.device, precision="fp32"
    )
    data, clock = made_up_data(spec, STEPS * BATCH), setting.clock()

    def trainer() -> Body:
        numbers = itertools.count()
        return lambda: _steps_of_trainer(spec, data, folder / f"run-{next(numbers)}", clock)

    def bare() -> Body:
        return lambda: _steps_of_bare_loop(spec, data, clock)

    return Case(ways={"": trainer}, reference=bare, work=(STEPS - 1) * BATCH)


def _steps_of_trainer(spec: Any, data: Any, folder: Path, clock: Clock) -> OwnSeconds:
    from bench.engine.first_step import forget_accelerator
    from bench.engine.listeners import Listener, Wish
    from bench.engine.trainer import Trainer

    class StepTimes(Listener):
        """Reads the clock at the end of every step."""

        def __init__(self) -> None:
            self.read: list[float] = []

        def on_losses(self, epoch: int, step: int, losses: Sequence[Mapping[str, float]]) -> Wish:
            self.read.append(clock())
            return Wish.GO_ON

    times = StepTimes()
    forget_accelerator()
    Trainer(spec, data, folder, listeners=[times]).fit()
    shutil.rmtree(folder, ignore_errors=True)
    return OwnSeconds(times.read[-1] - times.read[0])


def _steps_of_bare_loop(spec: Any, data: Any, clock: Clock) -> OwnSeconds:
    """The same arithmetic with nothing around it: no masks, no looks at losses but one a step, no listeners."""
    import numpy as np
    import torch

    from bench.engine.graph import build_graph
    from methods.base import Batch

    device = spec.distribution.device
    graph = build_graph(spec, data.class_counts()).to(device).train()
    optimizer = torch.optim.Adam(graph.parameters(), lr=spec.optim.lr / 2, weight_decay=1e-6, fused=True)
    features, labels = torch.from_numpy(np.asarray(data.bank.features)), torch.from_numpy(data.bank.labels)
    read = []
    for step in range(STEPS):
        rows = torch.arange(step * BATCH, (step + 1) * BATCH)
        x, y = features[rows][:, None].to(device), labels[rows].to(device)
        loss = graph(Batch(features=x, labels=y, local=slice(0, BATCH)), None)["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()
        read.append(clock())
    return OwnSeconds(read[-1] - read[0])


BENCHMARKS = [
    Benchmark(
        name="harness/steps",
        unit="cycles",
        about="Steps of a small AST with cross-entropy by the whole trainer: loading, listeners, looks at losses.",
        reference="The same model, loss and fused Adam in a bare PyTorch loop; 0.98 is an overhead of 2 %.",
        case=harness_case,
        devices=("cpu", "cuda"),
    )
]
