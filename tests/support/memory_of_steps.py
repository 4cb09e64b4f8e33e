"""Measures one training step of AST base with Patch-Mix CL, batch 8, in each way of saving memory.

``python memory_of_steps.py [DEVICE]`` starts a process for each way, one after the other, and prints a table of peak
memory (MiB; on a CPU the resident memory of the process, on a GPU what torch has allocated), seconds per step and loss.
The losses must be equal within 1e-4.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

WAYS: dict[str, dict[str, Any]] = {
    "whole batch": {},
    "micro_batch=4": {"micro_batch": 4},
    "micro_batch=2": {"micro_batch": 2},
    "micro_batch=1": {"micro_batch": 1},
    "checkpointing": {"checkpointing": True},
    "micro_batch=2, checkpointing": {"micro_batch": 2, "checkpointing": True},
}
BATCH, FRAMES, MELS = 8, 798, 128


def measure(device: str, fields: dict[str, Any], steps: int) -> dict[str, float]:
    """Take steps on pretend features; gives the peak, the mean time of a step after the first, and the last loss."""
    import numpy as np
    import torch
    from accelerate import Accelerator

    from bench.engine.activation_checkpoints import checkpoint_activations
    from bench.engine.gradients import Gradients
    from bench.engine.graph import TrainingGraph
    from bench.engine.hardware import peak_memory_mib

    graph = _graph(fields.get("micro_batch", 0), TrainingGraph)
    if fields.get("checkpointing"):
        checkpoint_activations(graph.model, "ast")
    accelerator = Accelerator(cpu=device == "cpu")
    optimizer = torch.optim.Adam(graph.parameters(), lr=5e-5, fused=True)
    wrapped, optimizer = accelerator.prepare(graph, optimizer)
    gradients = Gradients(wrapped, graph, accelerator)
    seconds, loss = [], torch.zeros(())
    for step in range(steps):
        rng = np.random.default_rng(step)
        batch = _batch(rng, accelerator.device)
        began = time.perf_counter()
        loss = gradients.compute(batch, graph.method.draw(BATCH, rng))["loss"].detach()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        # Reading it waits for the device.
        loss = loss.cpu()
        seconds.append(time.perf_counter() - began)
    peak = peak_memory_mib()["host" if device == "cpu" else "gpu"]
    return {"peak": peak or 0.0, "seconds": float(np.mean(seconds[1:] or seconds)), "loss": loss.item()}


def _graph(micro_batch: int, kind: Any) -> Any:
    import torch

    import baselines
    import methods

    torch.manual_seed(1)
    model = baselines.create("ast", frames=FRAMES, mels=MELS)
    method = methods.create(
        "patchmix-cl", feature_dim=model.feature_dim, class_counts=[9, 5, 3, 2], patch_grid=model.patch_grid
    )
    return kind(model, method, micro_batch).train()


def _batch(rng: Any, device: Any) -> Any:
    import numpy as np
    import torch

    from methods.base import Batch

    x = torch.from_numpy(rng.standard_normal((BATCH, 1, FRAMES, MELS)).astype(np.float32)).to(device)
    return Batch(features=x, labels=torch.arange(BATCH, device=device) % 4, local=slice(0, BATCH))


def main() -> None:
    """Measure all ways, or, in a process that this one has started, one of them."""
    if len(sys.argv) > 3:
        sys.stdout.write(json.dumps(measure(sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]))))
        return
    device = sys.argv[1] if len(sys.argv) > 1 else "cpu"
    steps, losses = (1 if device == "cpu" else 6), []
    sys.stdout.write(f"{'way':30} {'peak MiB':>10} {'s/step':>8} {'loss':>12}\n")
    for way, fields in WAYS.items():
        words = [sys.executable, __file__, device, json.dumps(fields), str(steps)]
        found = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        losses.append(found["loss"])
        sys.stdout.write(f"{way:30} {found['peak']:10.0f} {found['seconds']:8.2f} {found['loss']:12.7f}\n")
        sys.stdout.flush()
    if max(losses) - min(losses) > 1e-4:
        sys.exit("The losses differ.")


if __name__ == "__main__":
    main()
