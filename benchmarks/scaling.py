"""How a run scales: 1 and 2 processes measured here, 8 GPUs and 8 nodes computed on paper, and what the tables cost.

    python -m benchmarks.scaling                      # about a minute
    python -m benchmarks.scaling --json scaling.json

The bytes of a step are counted in a real group of two processes (:mod:`benchmarks.communication`); speeds of GPUs and
links are assumptions, which the document states.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bench.core.files import write_json
from benchmarks.communication import GATHERED, GRADIENTS, REDUCED, GroupCase, ProcessFacts, measure_group
from benchmarks.paper_costs import RunCost, costs_of_tables, passes_of

SMALL = GroupCase(
    model="ast",
    method="patchmix-cl",
    model_options={"embed_dim": 192, "depth": 4, "heads": 3, "frames": 98},
    fields={"frontend_options": {"seconds": 1.0}, "batch": 8},
    steps=10,
)
"""The run whose speed is measured in 1 and 2 processes."""

WIDE = GroupCase(model="ast", method="patchmix-cl", model_options={"depth": 1}, fields={"batch": 2}, steps=1)
"""The paper's run with one block of twelve: what it gathers of each cycle does not depend on their number."""

SEEDS = 5


@dataclass(frozen=True, kw_only=True)
class Assumptions:
    """What is not measured here.

    Attributes:
        gpu_flops: Operations a second of a GPU's matrix products in bf16.
        fraction: Share of them that a training reaches.
        links: Bytes a second that a GPU sends to its neighbour, by what the group is.
        latency: Seconds of a collective beside its bytes.
        backward: Share of a step's computing during which gradients can be sent.
    """

    gpu_flops: float
    fraction: float
    links: Mapping[str, float]
    latency: float
    backward: float


H200 = Assumptions(
    gpu_flops=790e12,
    fraction=0.45,
    links={"8 GPUs in one box": 360e9, "8 nodes, 400 Gbit/s": 40e9, "8 nodes, 100 Gbit/s": 10e9},
    latency=50e-6,
    backward=2 / 3,
)
"""One H200: measured matrix products, the target's share of them; 80 % of NVLink and of the network's nominal speed."""


@dataclass(frozen=True, kw_only=True)
class StepVolume:
    """What a step of a model sends.

    Attributes:
        parameters: Parameters that are trained; each has a gradient of 4 bytes.
        gathered: Bytes of each cycle that its process sends to all others.
        reduced: Bytes of each cycle of the global batch whose gradients are summed.
        calls: Collectives of a step, one for all gradients.
        forward: Operations of one forward pass of one cycle.
        passes: Operations of a training step for a cycle, in forward passes.
    """

    parameters: int
    gathered: float
    reduced: float
    calls: float
    forward: float
    passes: float

    def seconds_alone(self, batch: int, given: Assumptions) -> float:
        """Seconds of a step on one GPU."""
        return batch * self.passes * self.forward / (given.gpu_flops * given.fraction)

    def seconds_sent(self, batch: int, processes: int, link: float, given: Assumptions) -> tuple[float, float]:
        """Seconds of the gradients, and of all else, by rings: each process sends 2 (N - 1) / N of what is summed.

        Args:
            batch: Cycles of the global batch.
            processes: Number of GPUs, N.
            link: Bytes a second between neighbours.
            given: Latency.
        """
        share = 2 * (processes - 1) / processes
        gathered = (processes - 1) * self.gathered * batch / processes
        others = (share * self.reduced * batch + gathered) / link + (self.calls - 1) * given.latency
        return share * 4 * self.parameters / link + given.latency, others

    def efficiency(self, batch: int, processes: int, link: float, given: Assumptions) -> tuple[float, float]:
        """Speed of N GPUs in N times that of one: where nothing is sent while computing, and where gradients are."""
        computing = self.seconds_alone(batch, given) / processes
        gradients, others = self.seconds_sent(batch, processes, link, given)
        hidden = max(0.0, gradients - given.backward * computing)
        return computing / (computing + gradients + others), computing / (computing + hidden + others)


def volume_of(facts: ProcessFacts, processes: int, *, parameters: int, forward: float, passes: float) -> StepVolume:
    """The volume of a model from what a group counted.

    Args:
        facts: Of one process of the group.
        processes: Their number.
        parameters: Trained parameters of the model that is meant.
        forward: As :class:`StepVolume` has it.
        passes: As :class:`StepVolume` has it.
    """
    calls = sum(count for kind, count in facts.calls.items() if kind != GRADIENTS)
    gathered = facts.sent[GATHERED] / (facts.batch / processes)
    reduced = facts.sent[REDUCED] / facts.batch
    return StepVolume(
        parameters=parameters, gathered=gathered, reduced=reduced, calls=calls + 1, forward=forward, passes=passes
    )


def gpu_hours(costs: Sequence[RunCost], given: Assumptions, seeds: int = SEEDS) -> float:
    """GPU hours of some runs, each with several seeds."""
    return seeds * sum(cost.flops for cost in costs) / (given.gpu_flops * given.fraction) / 3600


def paper_volume(context: Any = None) -> StepVolume:
    """What a step of the paper's run, AST base with Patch-Mix CL, sends."""
    import torch

    import baselines
    from bench.launch.measurement import forward_flops

    def parameters(**options: Any) -> int:
        with torch.device("meta"):
            model: Any = baselines.create("ast", 4, **options)
        return sum(one.numel() for one in model.parameters())

    facts = measure_group(WIDE, 2, context)[0]
    more = parameters() - parameters(depth=1)
    passes = passes_of("patchmix-cl")
    return volume_of(facts, 2, parameters=facts.parameters + more, forward=forward_flops("ast"), passes=passes)


def measured_scaling(context: Any = None) -> dict[str, Any]:
    """Speed and bytes of the small run in 1 and in 2 processes of this machine."""
    groups = {processes: measure_group(SMALL, processes, context) for processes in (1, 2)}
    rows = {processes: _measured_row(facts) for processes, facts in groups.items()}
    more = rows[2]["cpu_seconds_per_step"] / rows[1]["cpu_seconds_per_step"]
    return {"case": asdict(SMALL), "processes": rows, "cpu_time_of_two_to_one": more}


def _measured_row(facts: Sequence[ProcessFacts]) -> dict[str, Any]:
    return {
        "cycles_per_second": facts[0].batch / max(one.seconds for one in facts),
        "cpu_seconds_per_step": sum(one.cpu_seconds for one in facts),
        "bytes_per_step": dict(facts[0].sent),
        "collectives_per_step": dict(facts[0].calls),
        "parameters": facts[0].parameters,
    }


def efficiencies(volume: StepVolume, given: Assumptions, processes: int = 8) -> list[dict[str, Any]]:
    """Efficiency for each link, with a global batch of 8 (one cycle a GPU) and of 64."""
    rows = []
    for group, link in given.links.items():
        for batch in (8, 64):
            apart, overlapped = volume.efficiency(batch, processes, link, given)
            rows.append({"group": group, "batch": batch, "apart": apart, "overlapped": overlapped})
    return rows


def table_hours(given: Assumptions) -> dict[str, Any]:
    """GPU hours of each table and of all together, in which a system that stands in several is run once."""
    tables, left_out = costs_of_tables()
    once = {(cost.system, cost.part): cost for costs in tables.values() for cost in costs}
    hours = {name: gpu_hours(costs, given) for name, costs in tables.items()}
    runs = {name: len(costs) * SEEDS for name, costs in tables.items()}
    together = {"hours": gpu_hours(list(once.values()), given), "runs": len(once) * SEEDS}
    return {"hours": hours, "runs": runs, "together": together, "left_out": left_out}


def scaling_report() -> dict[str, Any]:
    """Everything that this module measures and computes, as a document."""
    from benchmarks.machine import machine_facts

    volume = paper_volume()
    return {
        "machine": machine_facts(),
        "measured": measured_scaling(),
        "step_of_the_paper": asdict(volume),
        "assumptions": asdict(H200),
        "efficiency": efficiencies(volume, H200),
        "tables": table_hours(H200),
    }


def print_scaling(report: Mapping[str, Any], console: Console) -> None:
    """Print the document as three tables."""
    measured = Table("processes", "cycles/s", "CPU s/step", "gradients", REDUCED, GATHERED, title="Measured here")
    for processes, row in report["measured"]["processes"].items():
        sent = [f"{row['bytes_per_step'].get(kind, 0):,.0f} B" for kind in (GRADIENTS, REDUCED, GATHERED)]
        measured.add_row(f"{processes}", f"{row['cycles_per_second']:.1f}", f"{row['cpu_seconds_per_step']:.3f}", *sent)
    computed = Table("group", "global batch", "nothing overlaps", "gradients overlap", title="Efficiency on paper")
    for row in report["efficiency"]:
        computed.add_row(row["group"], f"{row['batch']}", f"{row['apart']:.0%}", f"{row['overlapped']:.0%}")
    tables = report["tables"]
    hours = Table("table", "runs", "GPU hours", title=f"Tables over {SEEDS} seeds")
    for name, value in tables["hours"].items():
        hours.add_row(name, f"{tables['runs'][name]}", f"{value:.1f}")
    hours.add_row("all, each system once", f"{tables['together']['runs']}", f"{tables['together']['hours']:.1f}")
    for table in (measured, computed, hours):
        console.print(table)
    for system, reason in tables["left_out"].items():
        console.print(f"{system} is left out: {reason}")


def main(json: Annotated[Path | None, typer.Option(help="File for the document as JSON.")] = None) -> None:
    """Measure 1 and 2 processes, and compute what 8 GPUs, 8 nodes and the paper's tables take."""
    report = scaling_report()
    print_scaling(report, Console())
    if json is not None:
        write_json(json, report)


if __name__ == "__main__":
    typer.run(main)
