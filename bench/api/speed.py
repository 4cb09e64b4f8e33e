"""A short look at how fast this machine is: what ``bench doctor --speed`` measures, in well under 20 seconds.

The long form, with plain references and a history, is ``python -m benchmarks`` in a checkout of the project.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from bench.core.timing import Clock, clock_of_gpu, cpu_seconds, cpu_seconds_with_children, time_in_turn
from bench.data.bank_folder import one_thread
from bench.experiment.devices import choose_device, choose_precision

STEP_MODEL = {"embed_dim": 192, "depth": 12, "heads": 3, "frames": 198}
STEP_BATCH, STEP_SECONDS = 2, 2.0
CYCLES, CYCLE_SECONDS = 4, 2.5
PASSES = 3


def measure_speed() -> dict[str, Any]:
    """Measure products of matrices, a training step, features and a command's start.

    On a CPU it is the processor's time on one thread that counts, so that other programs do not; on a GPU wall time.

    Returns:
        Rates and seconds by name, and what the clock counts.
    """
    device = choose_device("auto")
    clock = clock_of_gpu if device == "cuda" else cpu_seconds
    half = choose_precision("auto", device) if device == "cuda" else "bf16"
    half = "bf16" if half == "fp32" else half
    with one_thread():
        found = {
            "clock": "wall time" if device == "cuda" else "processor time, one thread",
            "device": device,
            **_products(device, ("fp32", half), clock),
            **_steps(device, ("fp32", half), clock),
            "features, cycles/s": round(_cycles_per_second(), 1),
        }
    return {**found, "bench --help, s": round(_help_seconds(), 3)}


def _products(device: str, precisions: tuple[str, ...], clock: Clock) -> dict[str, float]:
    """Operations a second of large matrix products."""
    from bench.engine.matmul_peak import matmul_peak

    size = 1024 if device == "cpu" else None
    return {
        f"matrix product {precision}, GFLOP/s": round(
            matmul_peak(precision, device, passes=PASSES, clock=clock, size=size) / 1e9, 1
        )
        for precision in precisions
    }


def _steps(device: str, precisions: tuple[str, ...], clock: Clock) -> dict[str, float]:
    """Seconds of a Patch-Mix CL step of an AST of tiny width on 2 clips of 2 s."""
    from bench.engine.first_step import FirstStep, forget_accelerator
    from bench.engine.made_up import made_up_data, made_up_spec

    sides = {}
    for precision in precisions:
        spec = made_up_spec(
            "ast",
            "patchmix-cl",
            STEP_MODEL,
            frontend_options={"seconds": STEP_SECONDS},
            batch=STEP_BATCH,
            device=device,
            precision=precision,
        )
        sides[precision] = FirstStep(spec, made_up_data(spec, STEP_BATCH)).take
    timings = time_in_turn(sides, PASSES, clock)
    # A run that follows in this process chooses its own precision.
    forget_accelerator()
    return {f"training step {precision}, s": round(timing.median, 4) for precision, timing in timings.items()}


def _cycles_per_second() -> float:
    """Spectrograms a second of simulated cycles, in memory."""
    import numpy as np
    import torch

    from bench.data.datasets.simulated.simulate import SYNTHESIS_RATE, Breath, draw_chest, lung_sound
    from bench.data.frontends.ast import ASTFrontEnd

    rng = np.random.default_rng(0)
    spans = [(CYCLE_SECONDS * number, CYCLE_SECONDS * (number + 1)) for number in range(CYCLES)]
    breaths = [Breath(start, end, crackle=True, wheeze=False) for start, end in spans]
    sound = lung_sound(rng, draw_chest(rng), breaths, spans[-1][1])
    wave, frontend = torch.from_numpy(sound.astype(np.float32)), ASTFrontEnd()
    timing = time_in_turn({"": lambda: frontend.features(wave, SYNTHESIS_RATE, spans)}, PASSES, cpu_seconds)[""]
    return CYCLES / timing.median


def _help_seconds() -> float:
    """Processor seconds of ``bench --help``, the least of a few starts: a busy machine only adds to them."""
    words = [sys.executable, "-m", "bench", "--help"]

    def start() -> None:
        subprocess.run(words, check=True, capture_output=True)

    return min(time_in_turn({"": start}, PASSES, cpu_seconds_with_children, warm_ups=0)[""].seconds)
