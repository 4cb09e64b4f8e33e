"""Start-up of commands, in processor time of the whole process."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from bench.core.timing import Body
from benchmarks.runner import Benchmark, Build, Case, Setting

COMMANDS = {"help": ("--help",), "report": ("report",), "models": ("models", "list")}


def startup_case(setting: Setting, folder: Path) -> Case:
    """Commands as a user starts them, with an empty results folder."""
    env = {**os.environ, "BENCH_HOME": str(folder / "results"), "BENCH_CACHE": str(folder / "cache")}

    def started(*words: str) -> Body:
        return partial(subprocess.run, words, env=env, check=True, capture_output=True)

    ways: dict[str, Build] = {
        name: partial(started, sys.executable, "-m", "bench", *words) for name, words in COMMANDS.items()
    }
    return Case(ways=ways, reference=partial(started, sys.executable, "-c", "import torch"))


BENCHMARKS = [
    Benchmark(
        name="startup",
        unit="starts",
        about="`bench --help`, `bench report` of an empty board and `bench models list`.",
        reference="Importing torch and nothing else, which a command that asks for no tensor must not pay.",
        case=startup_case,
        children=True,
    )
]
