"""Runs the command line in a process of its own, as a user does."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

SMALL_AST = (
    "--model ast --method patchmix-cl --set embed_dim=16 --set depth=1 --set heads=2 --set seconds=1.0 "
    "--set batch=8 --set specaug_probability=0.5 --set specaug_time_width=20"
).split()
"""A run of a second or so on the small set; SpecAugment and shift are on, so that every random draw takes part."""
EVERY_EPOCH = ["--set", "checkpoint_minutes=0"]
"""Has a run save its state after each epoch: it takes seconds, and saves none within them otherwise."""


def environment(home: Path, cache: Path, **more: str) -> dict[str, str]:
    """The environment of a command with its own results and cache folders."""
    return {**os.environ, "BENCH_HOME": str(home), "BENCH_CACHE": str(cache), "OMP_NUM_THREADS": "1", **more}


def start(*words: str, env: dict[str, str], **options: Any) -> subprocess.Popen[str]:
    """Start ``bench`` with some words."""
    command = [sys.executable, "-m", "bench", *words]
    return subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **options
    )


def bench(*words: str, env: dict[str, str], code: int | None = 0, timeout: float = 300, **options: Any) -> Any:
    """Run ``bench`` to its end and check its exit code; gives the finished process."""
    done = subprocess.run(
        [sys.executable, "-m", "bench", *words],
        env=env,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        **options,
    )
    if code is not None:
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def bench_json(*words: str, env: dict[str, str], code: int = 0, timeout: float = 300) -> Any:
    """Run ``bench … --format json`` and read its document."""
    return json.loads(bench(*words, "--format", "json", env=env, code=code, timeout=timeout).stdout)


def cpu_seconds(*words: str) -> tuple[float, str]:
    """Run ``bench``; what it takes on an idle machine, also when other tests run beside it, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = bench(*words, env=dict(os.environ))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout
