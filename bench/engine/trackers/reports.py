"""What trackers are told: numbers by name, from the losses of steps and the entries of epochs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bench.engine.selection import Selection
from bench.experiment.spec import RunSpec

PLACES = frozenset(
    {"data", "cache", "weights", "init_weights", "init_weights_sha256", "plugins", "tracker", "tracker_every"}
)
"""Fields of a spec that trackers are not told: where things lie on this machine, and the trackers themselves."""


def configuration(spec: RunSpec) -> dict[str, bool | int | float | str]:
    """The flat form of a spec as trackers take it: names with plain values; options of the owners have dotted names."""
    found: dict[str, Any] = {"run_id": spec.run_id}
    for name, value in spec.flat().items():
        if name in PLACES:
            continue
        if isinstance(value, Mapping):
            found |= {f"{name.removesuffix('_options')}.{key}": inner for key, inner in value.items()}
        else:
            found[name] = value
    return {name: value if type(value) in (bool, int, float, str) else str(value) for name, value in found.items()}


def step_values(losses: Mapping[str, float], rate: float | None) -> dict[str, float]:
    """The named losses of a step, and its learning rate."""
    found = {f"train/{name}": value for name, value in losses.items()}
    return _finite({**found, **({} if rate is None else {"train/lr": rate})})


def epoch_values(entry: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of an epoch: mean losses, learning rate, pace, and what it was judged to be."""
    found = {
        "epoch": entry["epoch"],
        "epoch/loss": entry["loss"],
        **{f"epoch/{name}": value for name, value in entry.get("losses", {}).items()},
        "epoch/lr": entry["lr"],
        "epoch/seconds": entry["seconds"],
        "epoch/cycles_per_second": entry["cycles_per_second"],
    }
    for part in ("test", "val"):
        for sensitivity, metrics in (entry[part] or {}).items():
            found |= {f"{part}/{sensitivity}/{name}": value for name, value in _rates(metrics)}
    return _finite(found)


def rule_values(entries: Sequence[Mapping[str, Any]], task: str, min_se: float) -> dict[str, float]:
    """The Scores that each selection rule would report now, by task, rule and sensitivity, and the epoch it holds.

    Args:
        entries: The entries of all epochs so far.
        task: Id of the task.
        min_se: Se that the best epoch must exceed, percent.
    """
    judged = {entry["epoch"]: entry for entry in entries if entry["test"] is not None}
    selection = Selection(min_se)
    for epoch, entry in judged.items():
        selection.update(epoch, np.empty(0), _exact(entry["test"]), _exact(entry["val"]) if entry["val"] else None)
    found: dict[str, float] = {}
    for rule, choice in selection.choices.items():
        found[f"score/{task}/{rule}/epoch"] = choice.epoch
        for sensitivity, metrics in judged[choice.epoch]["test"].items():
            found[f"score/{task}/{rule}/{sensitivity}"] = metrics["score"]
    return _finite(found)


def _exact(metrics: Mapping[str, Any]) -> Mapping[str, Any]:
    """Metrics by the exact class, which come first in those of every task."""
    found: Mapping[str, Any] = next(iter(metrics.values()))
    return found


def _rates(metrics: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    return ((name, value) for name, value in metrics.items() if isinstance(value, float))


def _finite(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None and math.isfinite(value)}
