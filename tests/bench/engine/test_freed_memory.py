"""Memory that a process frees is filled once, not again at each step."""

import platform
import subprocess
import sys

import pytest

from bench.engine import accelerator
from bench.engine.first_step import forget_accelerator
from bench.engine.made_up import made_up_spec

FAULTS_OF_TEN_STEPS = """
import resource, sys
import numpy as np
from bench.engine.freed_memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
for step in range(11):
    first, second = np.ones(10 << 20), np.ones(10 << 20)
    del first, second
    if step == 0:
        begin = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - begin)
"""


def faults(wanted: str) -> int:
    command = [sys.executable, "-c", FAULTS_OF_TEN_STEPS, wanted]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs the GNU C library, whose memory is meant")
def test_freed_memory_is_kept():
    # Two blocks of 80 MiB: the system fills them ten times, or not once more.
    assert faults("keep") < 100 < faults("leave")


@pytest.mark.parametrize("wanted", [True, False])
def test_a_run_keeps_its_memory_unless_told_otherwise(wanted, monkeypatch):
    kept = []
    monkeypatch.setattr(accelerator, "keep_freed_memory", lambda: kept.append(True))
    forget_accelerator()
    accelerator.build_accelerator(made_up_spec("ast", "ce", keep_memory=wanted), 1)
    forget_accelerator()
    assert bool(kept) is wanted
