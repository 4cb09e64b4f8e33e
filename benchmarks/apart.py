"""One side of a benchmark in a process that does nothing else: its peak memory, and its time beside other sides'.

    python -m benchmarks.apart step/patchmix-cl/ast-tiny reference '{"device": "cpu"}'

prints one JSON object with the peak. With a last word ``in-turn`` it takes a call for every line that it reads, and
prints the seconds of each.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from bench.core.errors import RunError
from bench.core.timing import Body, OwnSeconds
from benchmarks.runner import Case, Setting, case_of

CALLS = 2
"""In the first call the optimiser has no state yet."""

IN_TURN = "in-turn"


@dataclass
class SideApart:
    """A side that another process computes; called, it has it take a call.

    Attributes:
        what: The side, for messages.
        process: Answers each line with a line: seconds, and the peak of its memory so far.
        peak_memory_mib: After the last call.
    """

    what: str
    process: subprocess.Popen[str]
    peak_memory_mib: float | None = None

    def __call__(self) -> OwnSeconds:
        """Take a call.

        Raises:
            RunError: If the process has ended before its time.
        """
        try:
            self.process.stdin.write("\n")  # type: ignore[union-attr]
            self.process.stdin.flush()  # type: ignore[union-attr]
            told = json.loads(self.process.stdout.readline())  # type: ignore[union-attr]
        except (OSError, ValueError) as error:
            code = self.process.wait()
            raise RunError(f"The process that was to time {self.what} ended with the exit code {code}.") from error
        self.peak_memory_mib = told["peak_memory_mib"]
        return OwnSeconds(told["seconds"])


@contextmanager
def side_apart(name: str, side: str, setting: Setting) -> Iterator[SideApart]:
    """A side in a process of its own, to be timed in turn with sides of this one; the process ends with the context."""
    words = [sys.executable, "-m", "benchmarks.apart", name, side, json.dumps(asdict(setting)), IN_TURN]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield SideApart(f"{name} ({side})", process)
        # It ends where there is no line left to read.
        process.communicate()


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
    """Do the work of one side and print its peak, or the seconds of each call that is asked for."""
    from benchmarks.areas import find_benchmark
    from benchmarks.machine import prepare_torch

    name, side, words = arguments[:3]
    setting = Setting(**json.loads(words))
    prepare_torch(setting)
    with case_of(find_benchmark(name), setting) as case:
        if arguments[3:] == [IN_TURN]:
            _tell_seconds(case.build(side), setting)
        else:
            _print({"peak_memory_mib": _peak_of(case, side, setting)})


def _peak_of(case: Case, side: str, setting: Setting) -> float | None:
    from bench.engine.hardware import reset_peak_memory

    body = case.build(side)
    reset_peak_memory()
    for _ in range(CALLS):
        body()
    return _peak(setting)


def _peak(setting: Setting) -> float | None:
    from bench.engine.hardware import peak_memory_mib

    return peak_memory_mib()["gpu" if setting.device == "cuda" else "host"]


def _tell_seconds(body: Body, setting: Setting) -> None:
    from bench.engine.hardware import reset_peak_memory

    reset_peak_memory()
    clock = setting.clock()
    for _ in sys.stdin:
        began = clock()
        body()
        _print({"seconds": clock() - began, "peak_memory_mib": _peak(setting)})


def _print(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
