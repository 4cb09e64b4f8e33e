"""Training: a model with a method, evaluated on the official test part, once per spec."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.api.calls import api_call, resumable
from bench.api.composites import CombinedRun, names_composite, refuse_for_parts, run_composite
from bench.api.requests import FilePath, resolve
from bench.api.run_result import Run
from bench.core.paths import cache_folder, home_folder
from bench.data.location import folder_here

if TYPE_CHECKING:
    from bench.experiment.consent import Allow
    from bench.experiment.spec import RunSpec

logger = logging.getLogger(__name__)


@api_call
@resumable
def run(
    model: str | None = None,
    method: str | None = None,
    *,
    system: str | None = None,
    data: FilePath | None = None,
    dataset: str | None = None,
    task: str | None = None,
    seed: int = 1,
    settings: Mapping[str, Any] | None = None,
    pretrain: str | None = None,
    init_from: str | None = None,
    frontend: str | None = None,
    profile: str = "auto",
    processes: int = 1,
    device: str = "auto",
    precision: str = "auto",
    allow_partial: bool = False,
    rerun: bool = False,
    home: FilePath | None = None,
    cache: FilePath | None = None,
    plugins: FilePath | Sequence[FilePath] = (),
    **options: Any,
) -> Run | CombinedRun:
    """Train a model with a method, or a system, evaluate it on the official test part, and put the result on the board.

    A finished run is not run twice: the same call gives its result back. An interrupted one goes on where it stopped.

    Args:
        model: Model id; ``bench models list`` shows them.
        method: Method id; ``bench methods list`` shows them.
        system: Id of a system, which says model, method, weights, front-end and recipe; what is given beside it is laid
            over that. ``bench systems list`` shows them.
        data: Folder of the data, or ``demo`` for the simulated set (default: ``BENCH_DATA``, or the data set's own).
        dataset: Id of the data set (default: the one that the folder holds); ``bench data list`` shows them.
        task: Id of the task (default: the first of the data set); ``bench data show ID`` shows them.
        seed: Seed of everything that is drawn.
        settings: Fields of the spec and options by name, dotted where a name alone is not enough:
            ``{"frontend.seconds": 4}``.
        pretrain: Name, file, folder or URL of pretrained weights, or ``none`` (default: the model's).
        init_from: Finished run whose weights the training starts from: its id, the beginning of it, or its folder, and
            after a colon ``last`` (the default), ``best-test``, ``best-val`` or ``stage-1``.
        frontend: Front-end id (default: the model's own).
        profile: ``auto``, ``paper`` or ``demo``: which recipes the spec begins with.
        processes: Processes (GPUs) that share the run.
        device: ``auto``, ``cpu`` or ``cuda``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        allow_partial: Run although recordings are missing; marked as partial.
        rerun: Run again although the result exists.
        home: Results folder (default: ``BENCH_HOME`` or ./results).
        cache: Cache folder (default: ``BENCH_CACHE`` or the user's).
        plugins: Files with models, methods, front-ends or data sets of your own.
        **options: More settings by name: ``epochs=2``, ``lr=1e-4``, ``val_fraction=0.2``.

    Returns:
        The finished run; of a system that is a composite, the composite.

    Raises:
        InterruptedRunError: After Ctrl-C; the state is saved, and the same call goes on.
        RunError: If the run started and failed; it is stored as failed.
        BenchError: Whatever kept it from starting.
    """
    shared: dict[str, Any] = {
        "data": data,
        "dataset": dataset,
        "task": task,
        "seed": seed,
        "settings": settings,
        "profile": profile,
        "processes": processes,
        "device": device,
        "precision": precision,
        "allow_partial": allow_partial,
        "home": home,
        "cache": cache,
        "plugins": plugins,
        **options,
    }
    own: dict[str, Any] = {
        "model": model,
        "method": method,
        "pretrain": pretrain,
        "frontend": frontend,
        "init_from": init_from,
    }
    if system is not None and names_composite(system, plugins):
        refuse_for_parts(own)
        return run_composite(system, pretrain=pretrain, rerun=rerun, **shared)
    spec = resolve(system=system, **own, **shared)
    done = run_spec(spec, home_folder(home), rerun=rerun)
    if done.error is not None:
        raise done.error
    return done


def run_spec(spec: RunSpec, home: Path, *, rerun: bool) -> Run:
    """Run a spec in this process, or give back the result that it has already; raises as ``launch`` does."""
    from bench.launch.once import launch

    return Run(launch(spec, home, rerun=rerun), spec)


def run_specs(specs: Sequence[RunSpec], home: Path | None = None, *, rerun: bool = False) -> list[Run]:
    """Run specs one after the other; one that fails does not keep the others from running.

    Args:
        specs: What to run.
        home: Results folder (default: ``BENCH_HOME`` or ./results).
        rerun: Run finished ones again.

    Returns:
        The runs, with the error of each that failed.

    Raises:
        BenchError: As :func:`bench.launch.once.launch`.
    """
    folder, done = home_folder(home), []
    for spec in specs:
        ended = run_spec(spec, folder, rerun=rerun)
        if ended.error is not None:
            logger.warning(f"run {spec.run_id} failed: {ended.error.message} {ended.error.hint or ''}")
        done.append(ended)
    return done


def replayed_spec(
    path: Path,
    allow: Allow,
    *,
    data: str | None = None,
    home: Path | None = None,
    cache: Path | None = None,
    processes: int | None = None,
    device: str = "auto",
    plugins: Sequence[Path] | None = None,
    tracker: str | None = None,
) -> RunSpec:
    """Read the ``spec.json`` of a run to run it as it was, here.

    Args:
        path: The file.
        allow: Asked whether a plug-in may be run that the file names and ``plugins`` do not.
        data: Folder of the data, where they are elsewhere than the spec says.
        home: Results folder, where the run that it starts from may be too.
        cache: Cache folder.
        processes: Processes that share the run (default: as before).
        device: ``auto``, ``cpu`` or ``cuda``.
        plugins: Plug-in files.
        tracker: Trackers that hear of the run, with commas between them (default: as before).

    Raises:
        SpecError: If the file cannot be read, or what it holds cannot be run here.
    """
    from bench.experiment.consent import agreed_plugins
    from bench.experiment.devices import choose_device
    from bench.experiment.plugins import load_plugins_of
    from bench.experiment.recipes import check_spec
    from bench.experiment.spec import read_spec

    spec = read_spec(path)
    spec = spec.changed(plugins=agreed_plugins(spec, plugins, allow))
    load_plugins_of(spec)
    place = cache_folder(cache)
    replayed = spec.changed(
        data=folder_here(spec.dataset, spec.data, data, place),
        cache=str(place.resolve()),
        device=choose_device(device),
        processes=spec.distribution.processes if processes is None else processes,
        tracker=spec.tracking.tracker if tracker is None else tracker,
        init_weights=_initial_weights(spec, home_folder(home)),
        # Asked for by itself, the part of a composite is a run of its own.
        part_of="",
    )
    check_spec(replayed)
    return replayed


def _initial_weights(spec: RunSpec, home: Path) -> str | None:
    """The folder of the run that a replayed spec starts from: where the spec says, or else in the results folder."""
    from bench.experiment.initial_runs import find_initial_run

    if spec.init_from is None or (spec.init_weights is not None and Path(spec.init_weights).is_dir()):
        return spec.init_weights
    return str(find_initial_run(spec.init_from, home).folder.path.resolve())


def estimated_memory(spec: RunSpec, home: Path | None = None) -> dict[str, Any]:
    """Estimate the memory of a process of a run: ``mib``, ``source`` (``other seeds``, ``computed``) and ``parts``.

    Args:
        spec: What to run.
        home: Results folder, whose board may hold runs of the same system.
    """
    from bench.core.paths import board_location, has_board
    from bench.launch.run_memory import memory_of_run
    from leaderboard.store.store import Store

    store = Store.open(board_location(home_folder(home))) if has_board() else None
    return memory_of_run(spec, store).to_json()


def check_starts(specs: Sequence[RunSpec]) -> None:
    """Check all that a start would, without one; runs that differ in the seed alone are checked once.

    Raises:
        BenchError: As :func:`bench.engine.preflight.check_start`.
    """
    from bench.engine.preflight import check_start

    for spec in {spec.changed(seed=1).run_id: spec for spec in specs}.values():
        check_start(spec)
