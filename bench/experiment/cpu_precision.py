"""Which precision ``auto`` is on this machine's CPU: bf16 where a short measurement says that it pays, fp32 elsewhere.

The measurement is of the machine and not of a run's model, and its verdict is kept in the cache folder: the precision
is part of a run's id, which must not change from call to call with the noise of a measurement.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import json
import logging
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.core.errors import SpecError, StoreError
from bench.core.files import exclusive_lock, write_json
from bench.core.kept import once
from bench.core.machine import cpu_flags, cpu_name
from bench.core.text import echoed
from bench.experiment.precision_measurement import measure_ratios

logger = logging.getLogger(__name__)

VARIABLE = "BENCH_CPU_PRECISION"
"""The environment's variable that says what ``auto`` is on a CPU, without a measurement."""

CHOICES = ("fp32", "bf16")
INSTRUCTIONS = ("avx512_bf16", "amx_bf16")
"""Instructions that compute in bf16, as Linux calls them; other CPUs emulate it."""

WORTHWHILE = 1.2
"""How many times as fast bf16 must be, for attention and for convolutions, before its rounding is accepted."""


@dataclass(frozen=True)
class PrecisionChoice:
    """A precision, and why it is that one.

    Attributes:
        precision: ``fp32``, ``bf16`` or ``fp16``.
        reason: What is to be said of it; empty where it goes without saying.
    """

    precision: str
    reason: str = ""


@dataclass(frozen=True)
class MeasuredMachine:
    """What a measurement holds for.

    Attributes:
        cpu: The processor's name.
        torch: Version of torch.
        instructions: Those of :data:`INSTRUCTIONS` that the CPU has.
    """

    cpu: str
    torch: str
    instructions: Sequence[str]

    def file_in(self, cache: Path) -> Path:
        """The file that keeps the verdict for machines like this one; several may share a cache folder."""
        text = json.dumps([self.cpu, self.torch, *self.instructions])
        return cache / "cpu-precision" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


@dataclass(frozen=True)
class Verdict:
    """How many times as fast as fp32 training steps in bf16 were.

    Attributes:
        attention: Of a transformer.
        convolution: Of a convolution net.
        measured: Day of the measurement, as ``2026-01-31``.
    """

    attention: float
    convolution: float
    measured: str

    def choice(self) -> PrecisionChoice:
        """The precision that follows from it."""
        pays = min(self.attention, self.convolution) >= WORTHWHILE
        ratios = (
            f"{self.attention:.1f} times as fast as fp32 on this CPU, for convolutions {self.convolution:.1f} times"
        )
        measured = "measured today" if self.measured == _today() else f"measured on {self.measured}"
        if pays:
            return PrecisionChoice("bf16", f"precision bf16: {ratios} ({measured}); --precision fp32 does without")
        return PrecisionChoice("fp32", f"precision fp32: bf16 is {ratios} ({measured}), which does not pay")


def choose_cpu_precision(cache: Path) -> PrecisionChoice:
    """What ``auto`` is on this machine's CPU; measured where no verdict is kept yet, which takes two seconds.

    Args:
        cache: The cache folder, where verdicts are kept.

    Raises:
        SpecError: If ``BENCH_CPU_PRECISION`` names no precision of a CPU.
    """
    said = os.environ.get(VARIABLE)
    if said:
        if said not in CHOICES:
            raise SpecError(f"{VARIABLE} is '{echoed(said)}', but must be {' or '.join(CHOICES)}.")
        return PrecisionChoice(said, f"precision {said}: {VARIABLE} says so")
    flags = cpu_flags()
    instructions = tuple(name for name in INSTRUCTIONS if name in flags)
    if not instructions:
        return PrecisionChoice("fp32")
    import torch

    machine = MeasuredMachine(cpu_name(), torch.__version__, instructions)
    return once(("cpu precision", cache, machine), lambda: _kept_verdict(machine, cache)).choice()


def _kept_verdict(machine: MeasuredMachine, cache: Path) -> Verdict:
    """The verdict that is kept, or one that is measured now and kept."""
    file = machine.file_in(cache)
    try:
        # Of two processes at once the second one waits, and reads what the first one has measured.
        file.parent.mkdir(parents=True, exist_ok=True)
        with exclusive_lock(file.with_suffix(".lock")):
            found = _read(file, machine)
            if found is None:
                found = _measured(machine)
                write_json(file, {**asdict(machine), **asdict(found)})
            return found
    except (StoreError, OSError) as error:
        reason = error.message if isinstance(error, StoreError) else f"{file.parent}: {error.strerror or error}."
        logger.warning(f"what was measured of bf16 cannot be kept, so that each command measures anew: {reason}")
        return _measured(machine)


def _read(file: Path, machine: MeasuredMachine) -> Verdict | None:
    """The verdict in a file; None, with a warning where there is a file, if it holds none for this machine."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        day = datetime.date.fromisoformat(document["measured"]).isoformat()
        verdict = Verdict(float(document["attention"]), float(document["convolution"]), day)
        kept = MeasuredMachine(document["cpu"], document["torch"], tuple(document["instructions"]))
        ratios = (verdict.attention, verdict.convolution)
        if kept != machine or not all(math.isfinite(ratio) and ratio > 0 for ratio in ratios):
            raise ValueError
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        logger.warning(f"{file} holds no measurement of this machine; it is measured anew")
        return None
    return verdict


@functools.cache
def _measured(machine: MeasuredMachine) -> Verdict:
    """Measure this machine; once in a process, so that what cannot be kept is the same for all of its runs."""
    logger.debug("measuring bf16 against fp32 on %s", machine.cpu)
    attention, convolution = measure_ratios()
    return Verdict(attention, convolution, _today())


def _today() -> str:
    return datetime.datetime.now().astimezone().date().isoformat()
