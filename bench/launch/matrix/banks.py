"""Features that several runs of a matrix read: made once, before the first of them, in a process of their own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.log import SHORT_ID
from bench.data.feature_progress import features_counted
from bench.experiment.plugins import load_plugins_of
from bench.experiment.spec import RunSpec
from bench.launch.jobs import Job
from bench.launch.tasks import Task

if TYPE_CHECKING:
    from bench.launch.child_process import Parent

BANK = "bank-"
"""How the keys of such tasks begin."""

READ_BY = 2
"""Runs that must lack the same features for a task of its own; one run makes them by itself."""


def bank_key(spec: RunSpec) -> str:
    """The name of the features that a run reads: the same for two runs if and only if one bank serves both."""
    told = {
        "data": (spec.data, spec.data_fingerprint, spec.dataset, spec.task, spec.partial),
        "frontend": (spec.frontend, spec.frontend_version, spec.frontend_options),
        "waves": spec.augment.changes_waveforms,
        "code": (spec.plugins, spec.extensions, spec.cache),
    }
    return f"{BANK}{hashlib.sha256(json.dumps(told, sort_keys=True, default=dict).encode()).hexdigest()[:16]}"


def bank_tasks(specs: Sequence[RunSpec], logs: Path, timeout: float | None = None) -> dict[str, Task]:
    """The tasks that make features which several runs lack, by their keys.

    Args:
        specs: Runs that are to be done.
        logs: Folder of the logs of these tasks.
        timeout: Seconds after which one is ended; None for never.
    """
    readers: dict[str, list[RunSpec]] = {}
    for spec in specs:
        readers.setdefault(bank_key(spec), []).append(spec)
    shared = {key: found[0] for key, found in readers.items() if len(found) >= READ_BY}
    return {key: _task(key, spec, logs, timeout) for key, spec in shared.items() if not is_bank_there(spec)}


def _task(key: str, spec: RunSpec, logs: Path, timeout: float | None) -> Task:
    job = Job(
        key=key,
        module="bench.launch.matrix.banks",
        task={"spec": spec.to_json()},
        name=f"the features of {spec.frontend} on {spec.dataset}",
        label=key[: len(BANK) + SHORT_ID],
        log=logs / f"{key}.log",
        timeout=timeout,
    )
    return Task(key=key, said=job.name, is_done=lambda: is_bank_there(spec), job=job, helps=True)


def _inputs(spec: RunSpec) -> tuple[Any, ...]:
    """What a bank is made of and found by: the data set, the front-end with its options, and the cache."""
    from bench.engine.data import load_run_dataset

    return load_run_dataset(spec), spec.frontend, spec.frontend_options, Path(spec.cache)


def is_bank_there(spec: RunSpec) -> bool:
    """Whether the cache holds the features that a run reads; its plug-ins are loaded.

    Raises:
        DataError: If the data are missing, broken, or not those of the spec.
    """
    from bench.data.bank import has_bank
    from bench.data.wave_bank import has_wave_bank
    from bench.engine.data import banks_of

    given = _inputs(spec)
    pictures, waves = banks_of(spec)
    return (not pictures or has_bank(*given)) and (not waves or has_wave_bank(*given))


def main(task: Mapping[str, Any], parent: Parent) -> None:
    """Make the features of a run in this process, which was started for it.

    Args:
        task: ``spec``, that of a run which reads them.
        parent: The process that started this one.

    Raises:
        BenchError: What keeps them from being made.
    """
    from bench.data.bank import prepare_bank
    from bench.data.wave_bank import prepare_wave_bank
    from bench.engine.data import banks_of

    spec = RunSpec.from_json(task["spec"])
    load_plugins_of(spec)
    given = _inputs(spec)
    pictures, waves = banks_of(spec)
    with features_counted(spec.frontend) as on_progress:
        told: dict[str, Any] = {"workers": spec.distribution.workers or None, "on_progress": on_progress}
        if pictures:
            prepare_bank(*given, **told)
        if waves:
            prepare_wave_bank(*given, **told)
