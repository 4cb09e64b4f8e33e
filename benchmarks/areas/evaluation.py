"""Evaluation of models: the project's against a plain loop."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.core.timing import Body, Timing
from benchmarks.areas.steps import ON_META, WAYS
from benchmarks.peaks import count_flops, peak_facts
from benchmarks.runner import Benchmark, Case, Setting

ROWS, QUICK_ROWS = 32, 8


def evaluation_case(model: str, setting: Setting, folder: Path) -> Case:
    """Probabilities of some rows: the project's evaluation in each precision, and a plain loop in fp32."""
    from bench.engine.made_up import made_up_data, made_up_spec

    rows = setting.batch or (QUICK_ROWS if setting.quick else ROWS)
    spec = made_up_spec(model, "ce", device=setting.device, batch=rows, eval_batch=rows)
    data = made_up_data(spec, rows, rows)

    def ours(precision: str) -> Body:
        from bench.engine.accelerator import build_accelerator
        from bench.engine.evaluate import judge_cycles
        from bench.engine.first_step import forget_accelerator
        from bench.engine.graph import build_graph

        way = replace(spec, precision=precision)
        forget_accelerator()
        accelerator = build_accelerator(way, 1)
        graph = build_graph(way).to(accelerator.device)
        return lambda: judge_cycles(graph, data, data.test, accelerator, way)

    def plain() -> Body:
        return plain_evaluation(spec, data)

    def facts(precision: str, timing: Timing) -> dict[str, Any]:
        return peak_facts(_flops(spec, data), precision, setting, timing)

    ways = {precision: partial(ours, precision) for precision in WAYS[setting.device]}
    return Case(ways=ways, reference=plain, work=rows, facts=facts)


def plain_evaluation(spec: Any, data: Any) -> Body:
    """A loop over the test rows in fp32, batch by batch, without gradients."""
    import torch

    from bench.engine.graph import build_graph
    from benchmarks.plain.graph import plain_model

    device = spec.distribution.device
    model = plain_model(build_graph(spec).model).to(device).eval()

    def evaluate() -> Any:
        found = []
        with torch.no_grad():
            for start in range(0, len(data.test), spec.distribution.eval_batch):
                rows = data.test[start : start + spec.distribution.eval_batch]
                found.append(model(data.inputs(rows, device)).softmax(dim=1).cpu())
        return torch.cat(found)

    return evaluate


def _flops(spec: Any, data: Any) -> float:
    from bench.engine.graph import build_graph
    from benchmarks.plain.graph import plain_model

    model = plain_model(build_graph(spec).model).to(ON_META).eval()
    inputs = data.inputs(data.test).to(ON_META)
    return count_flops(lambda: model(inputs), backward=False)


MODELS = ("cnn6", "resnet18", "efficientnet-b0", "ast-tiny", "ast-small")

BENCHMARKS = [
    Benchmark(
        name=f"evaluation/{model}",
        unit="cycles",
        about=f"Scores of {ROWS} cycles ({QUICK_ROWS} with --quick) by {model}, with their metrics.",
        reference="A plain loop in fp32 without gradients, an AST with naive attention; no metrics.",
        case=partial(evaluation_case, model),
        memory=True,
        reference_apart=True,
        devices=("cpu", "cuda"),
    )
    for model in MODELS
]
