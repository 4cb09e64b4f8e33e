"""Prints what one training step of a spec takes, and what was estimated before, as JSON; in a process of its own.

``python memory_of_step.py '{"model": "cnn6", "method": "ce", "batch": 32}'``; ``made_up_spec`` takes the fields.
"""

from __future__ import annotations

import json
import sys
from typing import Any

MIB = 2**20


def measure(fields: dict[str, Any]) -> dict[str, float]:
    """Take a step on made-up features; gives MiB: the estimate, what was there before, and the peak."""
    import psutil
    import torch

    from bench.engine.first_step import FirstStep
    from bench.engine.hardware import peak_memory_mib, reset_peak_memory
    from bench.engine.made_up import made_up_data, made_up_spec
    from bench.engine.memory_estimate import step_memory

    torch.set_num_threads(1)
    spec = made_up_spec(fields.pop("model"), fields.pop("method"), fields.pop("model_options", {}), **fields)
    estimate = step_memory(spec)
    assert estimate is not None
    data = made_up_data(spec, spec.sampling.batch)
    before = psutil.Process().memory_info().rss / MIB
    reset_peak_memory()
    FirstStep(spec, data).take()
    peak = peak_memory_mib()["host"]
    assert peak is not None
    parts = estimate.weights + estimate.gradients + estimate.optimiser + estimate.activations
    return {"estimated": parts / MIB, "before": before, "peak": peak, "total": estimate.total / MIB}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(json.loads(sys.argv[1]))))
