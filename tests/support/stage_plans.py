"""Stages for tests, by the flat names of their fields."""

from __future__ import annotations

import dataclasses
from typing import Any

from bench.engine.optim import OptimOptions
from bench.engine.schedule import ScheduleOptions
from methods.base import Stage

SCHEDULE = {field.metadata.get("flat", field.name): field.name for field in dataclasses.fields(ScheduleOptions)}
OPTIM = {field.name for field in dataclasses.fields(OptimOptions)}


def make_stage(name: str = "training", **fields: Any) -> Stage:
    """A stage without step average, unless it is asked for; its optimiser and schedule have the given fields."""
    schedule = {SCHEDULE[key]: fields.pop(key) for key in list(fields) if key in SCHEDULE}
    optim = {"step_average": 0.0, **{key: fields.pop(key) for key in list(fields) if key in OPTIM}}
    return Stage(name=name, optim=OptimOptions(**optim), schedule=ScheduleOptions(**schedule), **fields)
