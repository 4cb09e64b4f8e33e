"""Searching hyper-parameters: a study begun, gone on with, looked at or deleted."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.api.calls import api_call, resumable
from bench.api.launching import launch_options
from bench.api.requests import FilePath, build_request, choose_source, joined_settings, seeds_text
from bench.api.study import Study
from bench.core.errors import SpecError
from bench.core.paths import home_folder
from bench.search.request import objective_words as objective_words

if TYPE_CHECKING:
    from bench.core.errors import BenchError
    from bench.experiment.consent import Allow
    from bench.experiment.recipes import Request
    from bench.launch.jobs import LaunchOptions
    from bench.search.planning import PlannedSearch as PlannedSearch
    from bench.search.planning import SearchOptions
    from bench.search.study import Search

logger = logging.getLogger(__name__)

Space = str | Sequence[Any] | None
"""Where a parameter is searched: ``1e-5..1e-3:log``, a list of values, or None for what is declared."""


@api_call
@resumable
def search(
    model: str | None = None,
    method: str | None = None,
    *,
    params: str | Sequence[str] | Mapping[str, Space],
    system: str | None = None,
    trials: int | None = None,
    study: str | None = None,
    workers: int = 1,
    launcher: str = "local",
    scheduler: str | None = None,
    slurm: Mapping[str, Any] | None = None,
    storage: FilePath | None = None,
    sampler: str = "auto",
    pruner: str | None = None,
    seeds_per_trial: int = 1,
    folds: int = 1,
    objective: str = "held-out",
    final_seeds: str | Sequence[int] = (1, 2, 3, 4, 5),
    give_up_after: int = 5,
    sampler_seed: int = 1,
    data: FilePath | None = None,
    dataset: str | None = None,
    task: str | None = None,
    settings: Mapping[str, Any] | None = None,
    pretrain: str | None = None,
    frontend: str | None = None,
    profile: str = "auto",
    processes: int = 1,
    device: str = "auto",
    precision: str = "auto",
    allow_partial: bool = False,
    home: FilePath | None = None,
    cache: FilePath | None = None,
    plugins: FilePath | Sequence[FilePath] = (),
    **options: Any,
) -> Study:
    """Search hyper-parameters on held-out training patients, then train the best and look at the test set once.

    The same call goes on with its study. Trials run in processes of their own.

    Args:
        model: Model id.
        method: Method id.
        params: What is searched: names, or a mapping from names to spaces: ``{"lr": "1e-5..1e-3:log",
            "batch": [8, 16], "alpha": None}``. None is the space that is declared beside the parameter.
        system: Id of a system, in place of model and method; what is given beside it is laid over that.
        trials: Trials of the study in total; a grid has its own number.
        study: Its name (default: from model, method and parameters).
        workers: Processes that work on trials side by side, each with its own device.
        launcher: Where they and the final runs are carried out: ``local``, ``slurm`` or ``dask``.
        scheduler: Of ``dask``: the address of the scheduler.
        slurm: Of ``slurm``: options by name, over those of the user's file.
        storage: URL of a PostgreSQL database, or a journal file (default: ``HOME/studies/NAME.journal``).
        sampler: ``auto`` (tpe), ``tpe``, ``gp``, ``cmaes``, ``random`` or ``grid``.
        pruner: ``hyperband``, ``median``, ``wilcoxon`` or ``none`` (default: median; none for a grid and for
            runs whose length is given in iterations).
        seeds_per_trial: Runs of a trial, with seeds 1 to so many; their mean counts.
        folds: 1 holds out a fifth of the training patients; more is cross-validation.
        objective: ``held-out``, or ``test``, which marks every row as tuned on the test set.
        final_seeds: Seeds that the best parameters are trained with in the end, as ``1-5`` or a list; empty for none.
        give_up_after: Stop after so many trials in a row that failed with the same cause; 0 for never.
        sampler_seed: Seed of the sampler.
        data: As for :func:`bench.run`, and so are the arguments that follow.
        dataset: Id of the data set.
        task: Id of the task.
        settings: Settings of every run, by name.
        pretrain: Pretrained weights.
        frontend: Front-end id.
        profile: Recipes that the runs begin with.
        processes: Processes (GPUs) that share a run.
        device: ``auto``, ``cpu`` or ``cuda``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        allow_partial: Search although recordings are missing.
        home: Results folder.
        cache: Cache folder.
        plugins: Files with models, methods, front-ends or data sets of your own.
        **options: More settings by name, as ``epochs=20``.

    Returns:
        The study when its workers have gone. What failed in it stands in its trials, and in the log.

    Raises:
        InterruptedRunError: After Ctrl-C; runs under way have saved their state, and the same call goes on.
        BenchError: Whatever kept it from starting or going on.
    """
    from bench.search.planning import NO_FINALS, SearchOptions

    request = build_request(
        model,
        method,
        system=system,
        data=data,
        dataset=dataset,
        task=task,
        fields=joined_settings(settings, options),
        pretrain=pretrain,
        frontend=frontend,
        profile=profile,
        processes=processes,
        device=device,
        precision=precision,
        allow_partial=allow_partial,
        cache=cache,
        plugins=plugins,
    )
    names, spaces = _named_spaces(params)
    chosen = SearchOptions(
        params=names,
        space=spaces,
        trials=trials,
        study=study,
        sampler=sampler,
        pruner=pruner,
        seeds_per_trial=seeds_per_trial,
        folds=folds,
        objective=objective,
        final_seeds=seeds_text(final_seeds) or NO_FINALS,
        give_up_after=give_up_after,
        sampler_seed=sampler_seed,
    )
    place = None if storage is None else str(storage)
    launch = launch_options(launcher=launcher, scheduler=scheduler, slurm=slurm)
    return start_search(plan_search(request, chosen, home=home, storage=place, workers=workers, launch=launch))


def _named_spaces(params: str | Sequence[str] | Mapping[str, Space]) -> tuple[list[str], list[str]]:
    """Names of what is searched, and the spaces that are given, as the command line writes them."""
    if isinstance(params, str):
        return [params], []
    if not isinstance(params, Mapping):
        return list(params), []
    return list(params), [f"{name}={_space_text(space)}" for name, space in params.items() if space is not None]


def _space_text(space: str | Sequence[Any]) -> str:
    return space if isinstance(space, str) else ",".join(map(str, space))


def plan_search(
    request: Request,
    options: SearchOptions | Mapping[str, Any],
    *,
    home: FilePath | None,
    storage: str | None,
    workers: int,
    launch: LaunchOptions | None = None,
) -> PlannedSearch:
    """Check a search as far as can be without beginning it.

    Args:
        request: What its runs are.
        options: What is searched and how, as :class:`bench.search.planning.SearchOptions`, or its fields by name.
        home: Results folder (default: ``BENCH_HOME`` or ./results).
        storage: Where the study is kept; None for a file in the results folder.
        workers: Processes that work on trials side by side.
        launch: Where they and the final runs are carried out; on this machine by default.

    Raises:
        BenchError: The first thing that stands in the way.
    """
    from bench.search import planning

    chosen = planning.SearchOptions(**options) if isinstance(options, Mapping) else options
    return planning.plan_search(
        request, chosen, choose_source, home=home_folder(home), storage=storage, workers=workers, launch=launch
    )


def start_search(planned: PlannedSearch) -> Study:
    """Make or open a planned study, and work on it.

    Raises:
        InterruptedRunError: If it was stopped; the hint says what goes on.
        BenchError: What ended a worker and would end the others.
    """
    ended = planned.start()
    return Study(ended.study, ended.well)


def resume_search(
    name: str,
    allow: Allow,
    *,
    trials: int | None = None,
    workers: int = 1,
    launch: LaunchOptions | None = None,
    storage: str | None = None,
    retry_failed: bool = False,
    final_seeds: str | None = None,
    give_up_after: int | None = None,
    data: str | None = None,
    processes: int | None = None,
    device: str = "auto",
    plugins: Sequence[Path] | None = None,
    home: Path | None = None,
    cache: Path | None = None,
) -> Study:
    """Go on with a study, here or on another machine; what it is was stored with it.

    Args:
        name: Its name.
        allow: Asked whether a plug-in may be run that the study names and ``plugins`` do not.
        trials: Trials in total; more than before extends the study.
        workers: Processes that work on trials side by side.
        launch: Where they and the final runs are carried out; on this machine by default.
        storage: Where it is kept; None for a file in the results folder.
        retry_failed: Do the trials that failed again, with their parameters.
        final_seeds: Seeds that the best is trained with in the end: ``1-5``, or ``none`` (default: as before).
        give_up_after: Trials in a row that may fail with the same cause (default: as before).
        data: Folder of the data, or ``demo`` (default: as before).
        processes: Processes that share a run (default: as before).
        device: ``auto``, ``cpu`` or ``cuda``.
        plugins: Plug-in files.
        home: Results folder.
        cache: Cache folder.

    Raises:
        SpecError: If there is no such study, or it cannot go on like this.
        InterruptedRunError: If it was stopped; the hint says what goes on.
        BenchError: What ended a worker and would end the others.
    """
    from bench.experiment.consent import agreed_plugins
    from bench.experiment.devices import runs_elsewhere
    from bench.experiment.plugins import load_plugins
    from bench.launch.jobs import LaunchOptions
    from bench.search.request import base_spec, check_trials
    from bench.search.resumption import execution_here, go_on, settings_now
    from bench.search.session import SearchSession

    study = _begun(name, storage, home)
    settings = settings_now(study, final_seeds, give_up_after)
    where = launch or LaunchOptions()
    session = SearchSession(
        home=home_folder(home), storage=storage, name=name, workers=workers, settings=settings, launch=where
    )
    session.check_words(study.request)
    agreed = agreed_plugins(base_spec(study.request, study.execution), plugins, allow)
    load_plugins(agreed)
    with runs_elsewhere(where.elsewhere):
        execution = execution_here(study, data=data, cache=cache, processes=processes, device=device, plugins=agreed)
        target = check_trials(study.request, study.target if trials is None else trials)
        ended = go_on(study, session, execution, target, retry=retry_failed)
    return Study(ended.study, ended.well)


def _begun(name: str, storage: str | None, home: Path | None) -> Search:
    """Open a study that has begun; raises SpecError where there is none."""
    study = _opened(name, storage, home)
    if not study.execution:
        raise SpecError(
            f"The study '{name}' was made, but never began.", "Begin it with the `bench search` command again."
        )
    return study


def _opened(name: str, storage: str | None, home: Path | None) -> Search:
    from bench.search.storage import Place, check_name
    from bench.search.study import open_study

    return open_study(Place.of(storage, home_folder(home), check_name(name)), name)


def open_study(name: str, storage: str | None = None, home: Path | None = None) -> Study:
    """Open a study by its name; raises SpecError where there is none, and StoreError where it cannot be read."""
    return Study(_opened(name, storage, home))


def cancel_search(name: str, home: Path | None = None) -> int:
    """Stop the workers and final runs of a study that Slurm goes on with; no process need watch them.

    Args:
        name: The study's name.
        home: Results folder.

    Returns:
        How many jobs were cancelled; those that ran save their state.

    Raises:
        SpecError: If the study never had workers there.
        BenchError: If there is no Slurm here, or it does not answer.
    """
    from bench.search.far_workers import cancel_jobs_of
    from bench.search.storage import check_name

    return cancel_jobs_of(home_folder(home), check_name(name))


def delete_study(study: Study) -> None:
    """Delete a study; its runs stay, in their folders and on the board.

    Raises:
        StoreError: If its storage cannot be used.
    """
    from bench.search import study as studies

    studies.delete_study(study.search)
    logger.info(f"deleted the study {study.name}; its runs stay")


def list_studies(
    storage: str | None = None, home: Path | None = None
) -> tuple[list[dict[str, Any]], Sequence[BenchError]]:
    """The studies of the results folder, or of a storage.

    Args:
        storage: A database or a journal file; None for the files of the results folder.
        home: Results folder.

    Returns:
        A row for each, and what is wrong with those that cannot be read.
    """
    from bench.search.storage import places_in
    from bench.search.study import studies_in
    from bench.search.study_values import summary

    studies, damaged = studies_in(places_in(storage, home_folder(home)))
    return [summary(study) for study in studies], damaged
