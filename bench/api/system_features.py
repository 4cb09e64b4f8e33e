"""The features that the runs of a system need: prepared once, before the first of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.api.composites import FROM_SCRATCH, resolve_composites
from bench.api.features import FeatureSizes, PreparedFeatures
from bench.api.requests import build_request, resolve_request
from bench.core.inputs import map_inputs
from bench.core.paths import cache_folder
from bench.data.feature_progress import features_counted
from bench.data.frontends.chosen import choose_front_end
from bench.experiment.systems import composite_of, find_system

if TYPE_CHECKING:
    from bench.experiment.spec import RunSpec


def prepare_system(
    system: str,
    settings: Sequence[str] = (),
    *,
    data: str | None = None,
    dataset: str | None = None,
    task: str | None = None,
    profile: str = "auto",
    cache: Path | None = None,
    plugins: Sequence[Path] = (),
    workers: int | None = None,
    allow_partial: bool = False,
) -> list[PreparedFeatures]:
    """Make what the runs of a system read: pictures of all cycles, and their waveforms where the runs augment those.

    Args:
        system: Id of the system; of a composite the features of every part are made.
        settings: ``key=value`` pairs that are laid over it.
        data: Folder of the data, or ``demo``.
        dataset: Id of the data set (default: the one that the folder holds).
        task: Id of the task (default: the first of the set).
        profile: ``auto``, ``paper`` or ``demo``.
        cache: The cache folder.
        plugins: Files with systems, front-ends or data sets of your own.
        workers: Recordings at a time (default: one per core).
        allow_partial: Accept that recordings are missing.

    Returns:
        What was prepared, once for each front-end with its options.

    Raises:
        BenchError: For an unknown id or setting, or data that are missing or broken.
    """
    asked: dict[str, Any] = {
        "data": data,
        "dataset": dataset,
        "task": task,
        "profile": profile,
        "settings": settings,
        "fields": {"workers": workers},
        "allow_partial": allow_partial,
        "plugins": plugins,
        # Features are those of any weights.
        "pretrain": FROM_SCRATCH,
    }
    card = find_system(system, plugins)
    if composite_of(card) is not None:
        (composite,) = resolve_composites(card, {**asked, "cache": cache_folder(cache)})
        specs = [part.spec for part in composite.parts]
    else:
        specs = resolve_request(build_request(None, None, system=system, cache=cache, **asked))
    different = {(spec.frontend, str(spec.frontend_options), spec.augment.changes_waveforms): spec for spec in specs}
    return [_prepared(spec) for spec in different.values()]


def _prepared(spec: RunSpec) -> PreparedFeatures:
    from bench.engine.data import open_run_data

    began = time.monotonic()
    with features_counted(spec.frontend) as on_progress:
        data = open_run_data(spec, on_progress)
    shape: Any = choose_front_end(spec.frontend, spec.frontend_options).options.shape
    cycles = sum(len(recording.cycles) for recording in data.recordings.values())
    return PreparedFeatures(
        frontend=spec.frontend,
        path=data.bank.path if data.waves is None else data.waves.path,
        sizes=FeatureSizes(cycles, len(data.bank.cycles), map_inputs(list, shape)),
        partial=spec.partial,
        seconds=round(time.monotonic() - began, 3),
    )
