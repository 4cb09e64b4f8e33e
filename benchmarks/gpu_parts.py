"""The parts of the GPU script: what each measures or checks.

Each returns facts by name; one whose name begins with "ok:" is a check. Sizes are those of a whole run, or tiny ones
for a dry run on a CPU, where what only a GPU has is left out and said to be.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from bench.core.timing import Clock, Timing, cpu_seconds, time_in_turn
from bench.engine.arithmetic import flash_attention_fits
from bench.engine.hardware import hardware, peak_memory_mib, reset_peak_memory
from bench.engine.made_up import made_up_data, made_up_spec
from bench.engine.matmul_peak import clock_of_gpu, matmul_peak
from bench.engine.trainer import Trainer
from benchmarks.areas.steps import plain_step, step_flops
from benchmarks.gpu_children import Facts, FirstLook, OwnSteps, killed_run, seconds_side_by_side

MODEL, METHOD = "ast", "patchmix-cl"
NO_GPU = "not looked at: there is no GPU"


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        device: ``cuda``, or ``cpu`` in a dry run.
        ours: Precision of our own steps.
        authors: Precision of the authors' way.
        fields: Fields of the specs: what makes model and pictures tiny.
        masks: Fields of SpecAugment, for those parts that have it; by default the paper's.
        large: Clips of the large batch.
        small: Clips of the small one.
        steps: Steps of a timed pass.
        passes: Timed passes.
        train: Rows of a whole epoch.
        test: Rows of its evaluation.
    """

    device: str
    ours: str
    authors: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    masks: Mapping[str, Any] = field(default_factory=lambda: {"specaug_probability": 0.841})
    small: int = 8
    large: int = 64
    steps: int = 10
    passes: int = 5
    train: int = 4142
    test: int = 2756

    @property
    def clock(self) -> Clock:
        """What steps are timed by."""
        return clock_of_gpu if self.device == "cuda" else cpu_seconds

    def spec(self, batch: int, method: str = METHOD, **more: Any) -> Any:
        """The spec of a run at this size."""
        settings = {"device": self.device, "precision": self.ours, "eval_batch": 256, "compile": "off", **more}
        return made_up_spec(MODEL, method, batch=batch, **self.fields, **settings)


def full_size() -> Size:
    """AST base on 798 × 128 pictures, and ICBHI's numbers of cycles; in bf16 where the GPU has it."""
    from bench.core.paths import cache_folder
    from bench.experiment.devices import choose_precision

    return Size("cuda", choose_precision("auto", "cuda", cache_folder()), "fp16")


def dry_size() -> Size:
    """A tiny AST on the CPU."""
    from bench.core.options import build_options
    from bench.data.frontends import FRONTENDS

    options = dataclasses.asdict(build_options(FRONTENDS.card("ast").options, {"seconds": 1.0}, "ast"))
    net = {"embed_dim": 16, "depth": 2, "heads": 2, "frames": 98}
    return Size(
        device="cpu",
        ours="fp32",
        authors="fp32",
        fields={"model_options": net, "frontend_options": options},
        masks={"specaug_probability": 0.841, "specaug_time_width": 20},
        small=4,
        large=8,
        steps=1,
        passes=1,
        train=16,
        test=8,
    )


def machine(size: Size) -> Facts:
    """The machine, and how fast it multiplies matrices."""
    kinds = ("fp32", "bf16", "fp16") if size.device == "cuda" else ("fp32",)
    length = None if size.device == "cuda" else 64
    peaks = {
        f"{kind} peak, TFLOP/s": matmul_peak(kind, size.device, clock=size.clock, size=length) / 1e12 for kind in kinds
    }
    found = hardware()
    return {"torch": torch.__version__, "cuda": torch.version.cuda, "gpus": found["gpus"], "cpu": found["cpu"], **peaks}


def steps_of_8(size: Size) -> Facts:
    """The step of a small batch against the authors' way."""
    return _steps(size, size.small)


def steps_of_64(size: Size) -> Facts:
    """The step of a large batch against the authors' way."""
    return _steps(size, size.large)


def _steps(size: Size, batch: int) -> Facts:
    spec = size.spec(batch)
    data = made_up_data(spec, 4 * batch)
    facts: Facts = {}
    with tempfile.TemporaryDirectory() as folder:
        reset_peak_memory()
        own = OwnSteps(spec, data, Path(folder))
        sides: dict[str, Callable[[], object]] = {"ours": lambda: own.take(size.steps, wait=False)}
        own.take(2)
        facts["ours, peak MiB"] = _peak(size)
        try:
            reset_peak_memory()
            authors = plain_step(spec, data, size.authors)
            authors()
            facts["ours and authors' way, peak MiB"] = _peak(size)
            sides["authors"] = lambda: [authors() for _ in range(size.steps)]
        except torch.OutOfMemoryError as error:
            # The plain attention of 64 clips holds all weights of all heads: ours is measured all the same.
            facts["authors' way"] = f"ran out of memory: {str(error).splitlines()[0]}"
        times = time_in_turn(sides, size.passes, size.clock)
    ours = times["ours"].median / size.steps
    facts |= {"ours, ms a step": 1e3 * ours, "ours, cycles/s": batch / ours, "ours, noise": times["ours"].noise}
    if "authors" in times:
        authors_seconds = times["authors"].median / size.steps
        facts |= {"authors' way, ms a step": 1e3 * authors_seconds, "ratio": authors_seconds / ours}
    peak = matmul_peak(size.ours, size.device, clock=size.clock, size=None if size.device == "cuda" else 64)
    facts["ours, of the peak"] = step_flops(spec, data) / ours / peak
    return facts


def _peak(size: Size) -> float | None:
    return peak_memory_mib()["gpu" if size.device == "cuda" else "host"]


def switches(size: Size) -> Facts:
    """What compiling and deterministic operations cost or save in a step of a small batch, and TF32 in one of fp32."""
    ways: dict[str, dict[str, Any]] = {
        "plain": {},
        "deterministic": {"deterministic": True},
        "fp32": {"precision": "fp32"},
        "fp32, tf32=all": {"precision": "fp32", "tf32": "all"},
    }
    # On a CPU it takes a compiler a minute: tests/bench/engine/test_arithmetic.py.
    compiled: dict[str, dict[str, Any]] = {"compiled": {"compile": "on"}} if size.device == "cuda" else {}
    facts: Facts = {} if compiled else {"compiled": NO_GPU}
    for name, fields in {**ways, **compiled}.items():
        with tempfile.TemporaryDirectory() as folder:
            spec = size.spec(size.small, **{"cache": folder, **fields})
            began = time.perf_counter()
            own = OwnSteps(spec, made_up_data(spec, 4 * size.small), Path(folder))
            own.take(2)
            facts[f"{name}, s until the second step"] = time.perf_counter() - began
            facts[f"{name}, ms a step"] = 1e3 * _timed(own, size).median / size.steps
    return facts


def _timed(own: OwnSteps, size: Size) -> Timing:
    return time_in_turn({"": lambda: own.take(size.steps, wait=False)}, size.passes, size.clock)[""]


def no_waiting(size: Size) -> Facts:
    """No step waits for the device: torch raises an error where one would."""
    facts: Facts = {} if size.device == "cuda" else {"synchronisation": NO_GPU}
    for method in (METHOD, "ce", "mixup", "scl-hybrid"):
        for bank in ("yes", "no"):
            for precision in dict.fromkeys((size.ours, size.authors)):
                spec = size.spec(size.small, method, bank_on_device=bank, precision=precision, **size.masks)
                with tempfile.TemporaryDirectory() as folder:
                    name = f"ok: {method} in {precision}, bank_on_device={bank}"
                    facts[name] = _steps_without_waiting(
                        OwnSteps(spec, made_up_data(spec, 4 * size.small), Path(folder))
                    )
    return facts


def _steps_without_waiting(own: OwnSteps) -> bool | str:
    own.take(2)
    on_gpu = own.trainer.accelerator.device.type == "cuda"
    try:
        if on_gpu:
            torch.cuda.set_sync_debug_mode("error")
        own.take(2, wait=False)
    except RuntimeError as error:
        return str(error).splitlines()[0]
    finally:
        if on_gpu:
            torch.cuda.set_sync_debug_mode("default")
    return True


def flash_attention(size: Size) -> Facts:
    """Attention takes torch's flash kernel: the step works where it alone is allowed, and its kernels are seen."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.profiler import ProfilerActivity, profile

    facts: Facts = {}
    on_gpu = size.device == "cuda"
    for precision in dict.fromkeys((size.ours, size.authors)):
        with tempfile.TemporaryDirectory() as folder:
            spec = size.spec(size.small, precision=precision)
            own = OwnSteps(spec, made_up_data(spec, 4 * size.small), Path(folder))
            own.take(1)
            fits = flash_attention_fits(own.trainer.accelerator.device, precision)
            if on_gpu:
                with profile(activities=[ProfilerActivity.CUDA]) as seen:
                    own.take(1)
                names = sorted({event.key for event in seen.key_averages() if "flash" in event.key.lower()})
                facts[f"ok: {precision} can"] = fits
                facts[f"ok: {precision} does"] = bool(names)
                facts[f"{precision} kernels"] = [name[:100] for name in names]
            with sdpa_kernel(SDPBackend.FLASH_ATTENTION) if on_gpu else nullcontext():
                own.take(1)
            facts[f"ok: {precision} with this kernel alone"] = True if on_gpu else NO_GPU
    return facts


def epoch(size: Size) -> Facts:
    """An epoch of training and its evaluation at the full size of ICBHI, on made-up pictures; the second one counts."""
    spec = size.spec(size.small, epochs=2, compile="auto", **size.masks)
    began = time.perf_counter()
    data = made_up_data(spec, size.train, size.test)
    made = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        reset_peak_memory()
        began = time.perf_counter()
        outcome = Trainer(spec, data, Path(folder)).fit()
        whole = time.perf_counter() - began
    last = outcome.position.epochs[-1]
    steps = size.train // size.small
    training = steps * size.small / last["cycles_per_second"]
    return {
        "s to make the pictures up": made,
        "steps": steps,
        "s of training": training,
        "s of evaluation": last["seconds"] - training,
        "cycles/s in training": last["cycles_per_second"],
        "s of both epochs with start and saving": whole,
        "minutes of 50 epochs": 50 * last["seconds"] / 60,
        "peak MiB": _peak(size),
        "ok: 50 epochs in 12 minutes": 50 * last["seconds"] <= 720 if size.device == "cuda" else NO_GPU,
    }


def kill_and_resume(size: Size) -> Facts:
    """A run that is killed goes on from its saved state and ends with the same bits as one that was not."""
    # Looks on a GPU come every 16 steps: three of them in each epoch. Flash attention's backward pass is deterministic
    # only where it is asked to be.
    rows = size.small * (40 if size.device == "cuda" else 4)
    spec = size.spec(size.small, epochs=2, deterministic=True, checkpoint_minutes=1e-9, **size.masks)
    with tempfile.TemporaryDirectory() as name:
        folder, look = Path(name), FirstLook()
        code = killed_run(spec, rows, folder / "killed")
        resumed = Trainer(spec, made_up_data(spec, rows), folder / "killed", listeners=[look])
        gone_on = resumed.fit().position.epochs
        plain = Trainer(spec, made_up_data(spec, rows), folder / "plain")
        whole = plain.fit().position.epochs
    states = [trainer.model.state_dict() for trainer in (resumed, plain)]
    losses = [[entry["loss"] for entry in epochs] for epochs in (gone_on, whole)]
    return {
        "exit code": code,
        "went on at (epoch, steps)": look.place,
        "ok: was killed": code == -9,
        "ok: went on in the second epoch": look.place is not None and look.place[0] == 2,
        "ok: same losses": losses[0] == losses[1],
        "ok: same parameters": all(torch.equal(value, states[1][key]) for key, value in states[0].items()),
    }


def side_by_side(size: Size) -> Facts:
    """Two runs on one GPU: steps a second of both together against those of one alone."""
    steps, rows = 3 * size.steps, 4 * size.small
    facts: Facts = {}
    for batch in (size.small, size.large) if size.device == "cuda" else (size.small,):
        spec = size.spec(batch)
        [alone] = seconds_side_by_side(spec, max(rows, 4 * batch), steps, 1)
        together = max(seconds_side_by_side(spec, max(rows, 4 * batch), steps, 2))
        facts[f"batch {batch}, ms a step alone"] = 1e3 * alone / steps
        facts[f"batch {batch}, ms a step of each of two"] = 1e3 * together / steps
        facts[f"batch {batch}, steps of two over those of one"] = 2 * alone / together
    return facts
