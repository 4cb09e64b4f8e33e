"""Runs the command line in a process of its own, as a user does, or here, where that says the same sooner."""

from __future__ import annotations

import contextlib
import io
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


def bench_here(*words: str, env: dict[str, str], code: int = 0) -> subprocess.CompletedProcess[str]:
    """As :func:`bench`, in this process, which has imported everything already: that takes longer than a small run."""
    import torch

    from bench.cli import main

    before, threads = dict(os.environ), torch.get_num_threads()
    os.environ.update(env)
    # As in the processes of `environment`.
    torch.set_num_threads(1)
    out, err, ended = io.StringIO(), io.StringIO(), 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(list(words))
    except SystemExit as end:
        ended = end.code or 0
    finally:
        os.environ.clear()
        os.environ.update(before)
        torch.set_num_threads(threads)
    assert ended == code, f"exit code {ended}\n{out.getvalue()}\n{err.getvalue()}"
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def json_here(*words: str, env: dict[str, str], code: int = 0) -> Any:
    """As :func:`bench_json`, in this process."""
    return json.loads(bench_here(*words, "--format", "json", env=env, code=code).stdout)


def cpu_seconds(*words: str) -> tuple[float, str]:
    """Run ``bench``; what it takes on an idle machine, also when other tests run beside it, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = bench(*words, env=dict(os.environ))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout
