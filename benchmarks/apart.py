"""The peak memory of one side of a benchmark, in a process that does nothing else.

    python -m benchmarks.apart step/patchmix-cl/ast-tiny reference '{"device": "cpu"}'

prints one JSON object.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict

from bench.core.errors import RunError
from benchmarks.runner import Setting, case_of

CALLS = 2
"""In the first call the optimiser has no state yet."""


def peak_memory_apart(name: str, side: str, setting: Setting) -> float:
    """Peak memory of one side, MiB: resident on a CPU, libraries included; what torch allocated on a GPU.

    Raises:
        RunError: If the process failed; the end of what it said is told.
    """
    words = [sys.executable, "-m", "benchmarks.apart", name, side, json.dumps(asdict(setting))]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise RunError(f"The memory of {name} ({side or 'ours'}) could not be measured: {said[0]}.")
    return float(json.loads(done.stdout.splitlines()[-1])["peak_memory_mib"])


def main(arguments: Sequence[str]) -> None:
    """Do the work of one side and print the peak."""
    from bench.engine.hardware import peak_memory_mib, reset_peak_memory
    from benchmarks.areas import find_benchmark
    from benchmarks.machine import prepare_torch

    name, side, words = arguments
    setting = Setting(**json.loads(words))
    prepare_torch(setting)
    with case_of(find_benchmark(name), setting) as case:
        body = case.build(side)
        reset_peak_memory()
        for _ in range(CALLS):
            body()
        peak = peak_memory_mib()["gpu" if setting.device == "cuda" else "host"]
    sys.stdout.write(json.dumps({"peak_memory_mib": peak}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
