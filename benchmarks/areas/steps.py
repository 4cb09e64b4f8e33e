"""Training steps of models and methods, the project's own against the authors' way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.core.timing import Body, Timing
from benchmarks.peaks import count_flops, peak_facts
from benchmarks.runner import Benchmark, Build, Case, Setting

WAYS = {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "bf16")}
"""Precisions of the project's own step."""

PLAIN_PRECISION = {"cpu": "fp32", "cuda": "fp16"}
"""What the authors train in: mixed precision on a GPU."""

ON_META = "meta"

CLASSES = 4
"""Rows at least, so that each class has one."""

AUTHORS = (
    "The authors' way, written plainly: naive attention, clean and mixed clips in two forward passes, the state copied "
    "and averaged after each step, Adam unfused; fp32 on a CPU, fp16 autocast on a GPU."
)
PLAIN = (
    "The same model and method, an AST with naive attention, in a plain loop: the state copied and averaged after each "
    "step, Adam unfused; fp32 on a CPU, fp16 autocast on a GPU."
)


@dataclass(frozen=True)
class Pair:
    """A model with a method.

    Attributes:
        model: Model id.
        method: Method id.
        batch: Clips of a step.
        quick: Clips of a step in a quick run.
        memory: Whether its peak memory is measured too.
    """

    model: str
    method: str
    batch: int
    quick: int
    memory: bool = True

    def clips(self, setting: Setting) -> int:
        """Clips of a step under a setting."""
        return setting.batch or (self.quick if setting.quick else self.batch)


def step_case(pair: Pair, setting: Setting, folder: Path, options: Mapping[str, Any] | None = None) -> Case:
    """The step of a pair: the project's in each precision, and the plain one.

    Args:
        pair: Model and method.
        setting: Device and sizes.
        folder: Not used.
        options: ``model_options`` and fields of the spec, for a test's small model.
    """
    from bench.engine.made_up import made_up_data, made_up_spec

    clips = pair.clips(setting)
    spec = made_up_spec(pair.model, pair.method, device=setting.device, batch=clips, **(options or {}))
    data = made_up_data(spec, max(clips, CLASSES))

    def ours(precision: str) -> Body:
        from bench.engine.first_step import FirstStep

        return FirstStep(replace(spec, precision=precision), data).take

    def plain() -> Body:
        return plain_step(spec, data, PLAIN_PRECISION[setting.device])

    ways: dict[str, Build] = {precision: partial(ours, precision) for precision in WAYS[setting.device]}
    flops: list[float] = []

    def facts(precision: str, timing: Timing) -> dict[str, Any]:
        # Counted once, and not in processes that measure memory.
        flops[:] = flops or [step_flops(spec, data)]
        return peak_facts(flops[0], precision, setting, timing)

    return Case(ways=ways, reference=plain, work=clips, facts=facts)


def plain_step(spec: Any, data: Any, precision: str) -> Body:
    """The plain step of a spec's model and method from its initial weights, on the batch of the first step."""
    from bench.engine.first_step import FirstStep
    from bench.engine.matmul_peak import PRECISIONS
    from benchmarks.plain.graph import plain_graph
    from benchmarks.plain.training import PlainTraining

    own = FirstStep(spec.changed(keep_memory=False), data)
    batch, draw = own.load()
    graph = plain_graph(own.steps.bare, spec.method).to(batch.labels.device)
    autocast = None if precision == "fp32" else PRECISIONS[precision]
    training = PlainTraining(graph, own.rate, spec.optim.weight_decay, autocast)
    return lambda: training.step(lambda: graph(batch, draw))


def step_flops(spec: Any, data: Any) -> float:
    """Operations of the plain step, forward and backward, of matrix products and convolutions."""
    from dataclasses import replace as changed

    from bench.engine.first_step import FirstStep
    from benchmarks.plain.graph import plain_graph

    own = FirstStep(spec, data)
    batch, draw = own.load()
    graph = plain_graph(own.steps.bare, spec.method).to(ON_META)
    # Labels are read as numbers by some methods: they stay where they are unless the loss needs them on the device.
    second = None if batch.second is None else batch.second.to(ON_META)  # type: ignore[union-attr]
    on_meta = changed(
        batch,
        features=batch.features.to(ON_META),  # type: ignore[union-attr]
        second=second,
        labels=batch.labels.to(ON_META),
    )
    return count_flops(lambda: graph(on_meta, draw), backward=True)


def _benchmark(pair: Pair, *, always: bool) -> Benchmark:
    return Benchmark(
        name=f"step/{pair.method}/{pair.model}",
        unit="cycles",
        about=f"A training step of {pair.model} with {pair.method}, {pair.batch} clips ({pair.quick} with --quick).",
        reference=AUTHORS if pair.method == "patchmix-cl" else PLAIN,
        case=partial(step_case, pair),
        memory=pair.memory,
        reference_apart=True,
        # The steps of an AST are so long that what the first one makes ready does not show in a median.
        warm_ups=0 if pair.model.startswith("ast") else 1,
        devices=("cpu", "cuda"),
        always=always,
    )


MAIN = (
    Pair("cnn6", "ce", 32, 8),
    Pair("resnet18", "ce", 32, 4),
    Pair("efficientnet-b0", "ce", 32, 4),
    Pair("ast-tiny", "ce", 8, 2),
    Pair("ast-tiny", "patchmix-cl", 8, 2),
    Pair("ast-small", "patchmix-cl", 8, 2),
)
"""What is always run, the quickest first."""

MORE = (
    Pair("ast", "patchmix-cl", 4, 2),
    Pair("ast-tiny", "patchmix-ce", 8, 2),
    *(Pair("cnn6", method, 32, 8) for method in ("mixup", "mixup-bce", "cutmix", "mixup-kl", "scl", "scl-hybrid")),
    *(Pair(model, "ce", 32, 4) for model in ("resnet50", "resnest26", "efficientnet-b1", "cnn10", "cnn14")),
)
"""What is run where it is named."""

BENCHMARKS = [_benchmark(pair, always=pair in MAIN) for pair in (*MAIN, *MORE)]
