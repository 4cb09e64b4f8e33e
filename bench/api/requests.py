"""From what a user asks for, as Python values or as words of a command line, to complete specs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.api.calls import api_call
from bench.core.errors import SpecError
from bench.core.paths import cache_folder, expanded, home_folder
from bench.core.text import counted_noun, echoed

if TYPE_CHECKING:
    from bench.experiment.recipes import DataSource
    from bench.experiment.recipes import Request as Request
    from bench.experiment.spec import RunSpec as RunSpec

logger = logging.getLogger(__name__)

FilePath = str | Path
SIMULATED = "simulated data prove that the pipeline works, never that a method does; the run is marked `simulated`"


@api_call
def resolve(
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
    home: FilePath | None = None,
    cache: FilePath | None = None,
    plugins: FilePath | Sequence[FilePath] = (),
    **options: Any,
) -> RunSpec:
    """Say what :func:`bench.run` would run with these arguments, without training.

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
        home: Results folder that ``init_from`` is looked for in (default: ``BENCH_HOME`` or ./results).
        cache: Cache folder (default: ``BENCH_CACHE`` or the user's).
        plugins: Files with models, methods, front-ends or data sets of your own.
        **options: More settings by name: ``epochs=2``, ``lr=1e-4``, ``val_fraction=0.2``.

    Returns:
        The complete spec. Its ``run_id`` names the run on every machine.

    Raises:
        BenchError: For an unknown id or setting, a value that cannot be run, or data or weights that are missing.
    """
    request = build_request(
        model,
        method,
        system=system,
        data=data,
        dataset=dataset,
        task=task,
        fields=joined_settings(settings, options),
        pretrain=pretrain,
        init_from=init_from,
        frontend=frontend,
        profile=profile,
        processes=processes,
        device=device,
        precision=precision,
        allow_partial=allow_partial,
        home=home,
        cache=cache,
        plugins=plugins,
    )
    return resolve_request(request, seed)[0]


def joined_settings(settings: Mapping[str, Any] | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a mapping and of keywords as one; raises SpecError where both give one."""
    twice = sorted((settings or {}).keys() & options.keys())
    if twice:
        raise SpecError(f"'{echoed(twice[0])}' is given as a keyword and in settings.", "Give it once.")
    return {**(settings or {}), **options}


def plugin_files(plugins: FilePath | Sequence[FilePath]) -> list[Path]:
    """The plug-in files that a caller names, one or several, as paths."""
    return [expanded(file) for file in ([plugins] if isinstance(plugins, str | Path) else plugins)]


def build_request(
    model: str | None,
    method: str | None,
    *,
    system: str | None = None,
    data: FilePath | None = None,
    home: FilePath | None = None,
    cache: FilePath | None = None,
    plugins: FilePath | Sequence[FilePath] = (),
    **asked: Any,
) -> Request:
    """Build the request that commands and functions resolve.

    Args:
        model: Model id; None for the system's.
        method: Method id; None for the system's.
        system: Id of a system that is a single run; None for none.
        data: Folder of the data, ``demo``, or None for the default place.
        home: Results folder; None for the default place.
        cache: Cache folder; None for the default place.
        plugins: A plug-in file, or several.
        **asked: The other fields of :class:`bench.experiment.recipes.Request`.

    Raises:
        SpecError: If model, method or system is no text, is missing, or is another one than the system's; if the system
            is a composite, or a path cannot be one.
        RegistryError: If there is no such system.
    """
    from bench.experiment.recipes import Request
    from bench.experiment.systems import find_run, request_of_system

    files = plugin_files(plugins)
    common: dict[str, Any] = {
        "data": None if data is None else str(data),
        "home": home_folder(home),
        "cache": cache_folder(cache),
        "plugins": files,
        **asked,
    }
    named = {"system": system, "model": model, "method": method}
    for what, name in named.items():
        if not isinstance(name, str) and not (name is None and (what == "system" or system is not None)):
            raise SpecError(
                f"The {what} is {echoed(repr(name))}, but must be an id.",
                f"`bench {what}s list` shows them; code of your own is named by a plug-in (docs/extending.md).",
            )
    if system is not None:
        return request_of_system(find_run(system, files), model=model, method=method, **common)
    return Request(model=str(model), method=str(method), **common)


def seeds_text(seeds: str | Sequence[int]) -> str:
    """Seeds as the command line writes them, as in ``1-5`` or ``1,3,7``."""
    return seeds if isinstance(seeds, str) else ",".join(map(str, seeds))


def choose_source(request: Request) -> DataSource:
    """Decide on data and profile, and say which, once it is known that every word of the request can be meant.

    Raises:
        BenchError: As ``choose_source`` and ``check_request`` of :mod:`bench.experiment.recipes`.
    """
    from bench.experiment import recipes

    source = recipes.choose_source(request)
    recipes.check_request(request, source)
    say_source(source)
    return source


def say_source(source: DataSource) -> None:
    """Say in the log which data and profile were decided on."""
    logger.info(f"profile {source.profile}: {source.reason}")


def resolve_request(request: Request, seed: int | None = None, seeds: str | None = None) -> list[RunSpec]:
    """Complete a request to a spec for each seed, and say in the log what will be run.

    Args:
        request: What is asked for.
        seed: A single seed; 1 where neither is given.
        seeds: Several, as ``1-5`` or ``1,3,7``.

    Raises:
        BenchError: As :func:`bench.experiment.recipes.resolve`, and for seeds that cannot be read.
    """
    from bench.experiment.recipes import resolve as complete
    from bench.experiment.seeds import parse_seeds

    chosen = parse_seeds(seed, seeds)
    source = choose_source(request)
    if source.simulated:
        logger.info(SIMULATED)
    specs = complete(request, source, chosen)
    for spec in specs:
        logger.info(_headline(spec))
    return specs


def _training_words(spec: RunSpec) -> str:
    """How long a run trains and by what steps; that there are none where a probe's classifier is solved for."""
    if spec.method_options.get("solver") == "lbfgs":
        return "classifier by L-BFGS"
    schedule = spec.schedule
    length = (
        counted_noun(schedule.iterations, "iteration")
        if schedule.iterations
        else counted_noun(schedule.epochs, "epoch")
    )
    return f"{length} · batch {spec.sampling.batch} · lr {spec.optim.lr:g}"


def _judged_words(spec: RunSpec) -> str:
    """What a run is judged on, in words; the task is named where it is not the one of most runs."""
    from bench.core.datasets import DATASETS, FOUR_CLASSES, extent_words

    card = DATASETS.card(spec.dataset)
    data = extent_words(spec.partial, simulated=card.simulated) or card.title
    if spec.task == FOUR_CLASSES.id:
        return data
    return f"{data if data == card.title else f'{card.title}, {data}'} · {spec.task}"


def _headline(spec: RunSpec) -> str:
    return (
        f"run {spec.run_id}: {spec.model} ({spec.pretrain}) · {spec.method} · {_judged_words(spec)} · "
        f"seed {spec.seed} · {_training_words(spec)} · "
        f"{spec.distribution.device} · {spec.precision} · {counted_noun(spec.distribution.processes, 'process')}"
    )
