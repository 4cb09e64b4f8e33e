"""What the paper's tables cost: the operations of every run, counted without computing a number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.core.cards import SystemCard
from bench.core.errors import BenchError
from bench.experiment.composites import part_requests
from bench.experiment.paper_rows import systems_of
from bench.experiment.recipes import Request, recipe_fields
from bench.experiment.spec import with_defaults
from bench.experiment.systems import request_of_system
from bench.launch.measurement import forward_flops
from leaderboard.published import printed_table
from leaderboard.tables.board_tables import flattened

TABLES = ("table1", "table2", "table3")
TRAIN, TEST = 4142, 2756
"""Cycles of the official split of ICBHI."""

STAND_IN = {"embed_dim": 64, "depth": 4, "heads": 2, "frames": 98}
STAND_IN_BATCH = 8
"""A small AST on which the operations of a method's training step are counted in forward passes."""


@dataclass(frozen=True, kw_only=True)
class RunCost:
    """One run of a system with one seed.

    Attributes:
        system: Id of the system.
        part: Name of the run within a composite; empty where there is one.
        model: Model id.
        method: Method id.
        epochs: Epochs of the paper's recipe.
        passes: Operations of a training step for one cycle, in forward passes: about 3 for one view, 6 for two.
        forward: Operations of one forward pass of one cycle (a multiplication and an addition count as two).
    """

    system: str
    part: str
    model: str
    method: str
    epochs: int
    passes: float
    forward: int

    @property
    def flops(self) -> float:
        """Operations of all epochs: training, and one evaluation each."""
        return self.epochs * self.forward * (TRAIN * self.passes + TEST)


def costs_of_tables(tables: Iterable[str] = TABLES) -> tuple[dict[str, list[RunCost]], dict[str, str]]:
    """The runs of each printed table, every system once, and why a system is left out.

    Args:
        tables: Names of the tables.
    """
    found: dict[str, list[RunCost]] = {}
    left_out: dict[str, str] = {}
    for table in tables:
        rows = printed_table(table).rows
        cards = {card.id: card for row in rows for card in systems_of(table, row.id)}
        found[table] = []
        for card in cards.values():
            try:
                found[table] += run_costs(card)
            except BenchError as error:
                left_out[card.id] = error.message
    return found, left_out


def run_costs(card: SystemCard) -> list[RunCost]:
    """The runs of one seed of a system.

    Raises:
        BenchError: If it names what is not here.
    """
    if card.composite is None:
        return [_run_cost(card.id, "", request_of_system(card, cache=Path()))]
    requests = part_requests(card.composite, {"cache": Path()})
    return [_run_cost(card.id, part, request) for part, request in requests.items()]


def _run_cost(system: str, part: str, request: Request) -> RunCost:
    fields = flattened(
        with_defaults({"model": request.model, "method": request.method, **recipe_fields(request, "paper")})
    )
    return RunCost(
        system=system,
        part=part,
        model=request.model,
        method=request.method,
        epochs=int(fields["epochs"]),
        passes=passes_of(request.method),
        forward=_forward_flops(request.model),
    )


@cache
def passes_of(method: str) -> float:
    """Operations of a training step for one cycle, in forward passes, as they are counted on a small AST.

    Args:
        method: Method id. Of a method in stages, the first one counts.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from bench.engine.first_step import FirstStep
    from bench.engine.made_up import made_up_data, made_up_spec

    spec = made_up_spec("ast", method, STAND_IN, frontend_options={"seconds": 1.0}, batch=STAND_IN_BATCH)
    training = FirstStep(spec, made_up_data(spec, STAND_IN_BATCH))
    rows = training.load()[0].features
    with FlopCounterMode(display=False) as step:
        training.take()
    model = training.steps.bare.model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as forward:
        model(rows)
    return float(step.get_total_flops() / forward.get_total_flops())


_forward_flops = cache(forward_flops)
"""Of a model, counted once."""
