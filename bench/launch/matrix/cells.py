"""From the file of a matrix to complete runs: cells, each resolved once, and their seeds."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from bench.core.cards import RunnableCard, SystemCard
from bench.core.datasets import DATASETS
from bench.core.documents import collector_paused
from bench.core.errors import BenchError, RegistryError, SpecError
from bench.core.kept import looked_up_once, once
from bench.core.paths import expanded
from bench.core.registry import suggestion
from bench.core.text import echoed
from bench.experiment.composite_files import SUFFIX, read_composite
from bench.experiment.composites import Composite, resolve_composite
from bench.experiment.plugins import load_plugins
from bench.experiment.recipes import DEMO, DataSource, Request, choose_source, resolve
from bench.experiment.registries import SYSTEMS, registries
from bench.experiment.spec import RunSpec
from bench.experiment.systems import composite_of, find_system, request_of_system
from bench.launch.composite import check_parts
from bench.launch.matrix.file import HINT, MatrixFile, RunsTable, seeds_of, settings_of
from bench.launch.matrix.plans import MatrixPlan, PlannedRun, joined_runs
from leaderboard.results.validation import run_id_of

GLOB = "*?["


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What is run once for each seed.

    Attributes:
        place: The cell in words, with its place in the file: ``runs 2: cnn6 + ce, lr=0.001``.
        system: Id of a system, or the file of a composite one; None where model and method are named.
        model: Id of the model.
        method: Id of the method.
        frontend: Id of the front-end; None for that of model or system.
        settings: Settings by name, ``epochs`` among them.
        seeds: A run each; None for those of the profile.
        asked: The rest of what a request asks for: data, data set, task, profile, weights.
    """

    place: str
    system: str | None = None
    model: str = ""
    method: str = ""
    frontend: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    seeds: Sequence[int] | None = None
    asked: Mapping[str, Any] = field(default_factory=dict)


def cells_of(file: MatrixFile, path: Path, *, data: str | None = None) -> list[Cell]:
    """The cells of a file, in its order; its plug-ins are loaded.

    Args:
        file: What the file holds.
        path: The file; folders of data and plug-ins that it names are looked for beside it.
        data: Folder of the data where the file names none.

    Raises:
        SpecError: For an id that does not exist, or seeds or settings that cannot be; the place is named.
    """
    load_plugins([_beside(path, name) for name in file.plugins])
    return [
        cell
        for number, table in enumerate(file.runs, start=1)
        for cell in _cells_of_table(file, table, f"{path.name}: runs {number}", path, data)
    ]


def _cells_of_table(file: MatrixFile, table: RunsTable, place: str, path: Path, data: str | None) -> Iterator[Cell]:
    said = {name: table.shared(name, getattr(file, name)) for name in ("profile", "pretrain", "allow_partial")}
    said = {name: value for name, value in said.items() if value is not None}
    seeds = table.shared("seeds", file.seeds)
    chosen = None if seeds is None else seeds_of(seeds, place)
    epochs = table.shared("epochs", file.epochs)
    length = {} if epochs is None else {"epochs": epochs}
    folders = table.shared("data", file.data if file.data is not None else data)
    named = _known(table.datasets, (entry.id for entry in DATASETS), "data set", place)
    datasets: Sequence[str | None] = named or [None]
    subjects = list(_subjects(table, place, path))
    listed = settings_of(table, place)
    telling = _telling_settings(listed)
    tasks: Sequence[str | None] = table.tasks or [None]
    kinds = itertools.product(subjects, listed, datasets, tasks)
    for subject, settings, dataset, task in kinds:
        folder = folders.get(dataset) if isinstance(folders, Mapping) else folders
        asked = {**said, "dataset": dataset, "task": task, "data": None if folder is None else _beside(path, folder)}
        words = [_words(subject), *(f"{name}={settings[name]}" for name in settings if name in telling)]
        words += [word for word in (dataset if table.datasets else None, task) if word]
        yield Cell(
            place=f"{place.partition(': ')[2]}: {', '.join(words)}",
            settings={**length, **settings},
            seeds=chosen,
            asked=asked,
            **subject,
        )


def _subjects(table: RunsTable, place: str, path: Path) -> Iterator[dict[str, Any]]:
    """Systems, or pairs of model and method, perhaps with a front-end, as fields of a cell."""
    known = registries()
    named = _known(table.frontends, (entry.id for entry in known["frontend"]), "front-end", place)
    frontends: Sequence[str | None] = named or [None]
    if table.systems is not None:
        names = [name for one in table.systems for name in _system_names(one, place, path)]
        for system, frontend in itertools.product(names, frontends):
            yield {"system": system, "frontend": frontend}
        return
    models = _known(table.models, (entry.id for entry in known["model"]), "model", place)
    methods = _known(table.methods, (entry.id for entry in known["method"]), "method", place)
    for model, method, frontend in itertools.product(models, methods, frontends):
        yield {"model": model, "method": method, "frontend": frontend}


def _system_names(name: str, place: str, path: Path) -> list[str]:
    """Ids of systems, or the file of a composite system beside that of the matrix."""
    if not name.endswith(SUFFIX):
        return _known([name], (entry.id for entry in SYSTEMS), "system", place)
    file = Path(_beside(path, name))
    if not file.is_file():
        raise SpecError(
            f"{place}: there is no file {echoed(str(file))}.", "Name it as it lies beside the matrix's file."
        )
    return [str(file)]


def _telling_settings(listed: Sequence[Mapping[str, Any]]) -> set[str]:
    """The settings that tell cells of a table apart."""
    names = {name for settings in listed for name in settings}
    return {name for name in names if len({repr(settings.get(name)) for settings in listed}) > 1}


def _words(subject: Mapping[str, Any]) -> str:
    system = subject.get("system")
    name = Path(system).name.removesuffix(SUFFIX) if system else f"{subject['model']} + {subject['method']}"
    return name if subject["frontend"] is None else f"{name} on {subject['frontend']}"


def _known(asked: Sequence[str] | None, known: Iterable[str], what: str, place: str) -> list[str]:
    """Ids, and those that patterns (``cnn*``) match, each once; raises SpecError for one that does not exist."""
    ids, found = list(known), []
    for name in asked or ():
        matching = [one for one in ids if fnmatchcase(one, name)] if any(letter in name for letter in GLOB) else []
        if not matching and name not in ids and not _is_of_family(name, what):
            raise SpecError(f"{place}: unknown {what} '{echoed(name)}': {suggestion(name, ids)}", HINT)
        found += matching or [name]
    return list(dict.fromkeys(found))


def _is_of_family(name: str, what: str) -> bool:
    """Whether an id is one of the many that no list holds (``timm:resnet18``)."""
    if what != "model" or ":" not in name:
        return False
    try:
        registries()["model"].get(name)
    except RegistryError:
        return False
    return True


def _beside(path: Path, name: str) -> str:
    """A file or folder that is named in a file: beside it where there is one; ``demo`` is no folder."""
    there = path.absolute().parent / expanded(name)
    return str(there) if there.exists() else name


# --- from cells to runs -----------------------------------------------------------------------------------------


def plan_matrix(file: MatrixFile, path: Path, common: Mapping[str, Any], *, data: str | None = None) -> MatrixPlan:
    """Resolve every cell of a file before a run starts; one that cannot start is refused, and the others go on.

    Args:
        file: What the file holds.
        path: The file.
        common: Fields of the requests of all runs: cache, home, device, precision, processes, plugins.
        data: Folder of the data where the file names none.

    Raises:
        SpecError: For an id that does not exist, or if no cell can start: as the first of them.
    """
    # Of each run too: its process loads them anew.
    own = [_beside(path, name) for name in file.plugins]
    common = {**common, "plugins": [*common["plugins"], *own]}
    with looked_up_once(), collector_paused():
        cells = cells_of(file, path, data=data)
        runs: list[PlannedRun] = []
        refused: dict[str, BenchError] = {}
        profiles: dict[str, None] = {}
        for cell in cells:
            try:
                found, profile = _runs_of_cell(cell, common)
            except BenchError as error:
                refused[cell.place] = error
                continue
            runs += found
            profiles[profile] = None
    if not runs:
        place, refusal = next(iter(refused.items()))
        raise type(refusal)(f"{path.name}: {place}: {refusal.message}", refusal.hint)
    return MatrixPlan(
        name=file.name, source=str(path), profile=" and ".join(profiles), runs=joined_runs(runs), refused=refused
    )


def _runs_of_cell(cell: Cell, common: Mapping[str, Any]) -> tuple[list[PlannedRun], str]:
    """The runs of a cell, one for each seed, and the profile that they begin with."""
    asked: dict[str, Any] = {**common, **cell.asked, "fields": dict(cell.settings)}
    if cell.frontend is not None:
        asked["frontend"] = cell.frontend
    source = _source_of(asked)
    seeds = cell.seeds or ([1] if source.profile == DEMO else range(1, 6))
    card = _card(cell)
    graph = None if card is None else composite_of(card, source.profile)
    if graph is not None:
        composites = resolve_composite(graph, asked, source, seeds)
        check_parts(composites[0], composites[0].parts)
        return _planned(cell, card, ((one, one.run_id) for one in composites)), source.profile
    [spec] = resolve(_request(cell, card, asked), source, seeds[:1])
    _check_model_once(spec)
    return _planned(cell, card, with_seeds(spec, seeds)), source.profile


def _card(cell: Cell) -> RunnableCard | None:
    if cell.system is None:
        return None
    return read_composite(Path(cell.system)) if cell.system.endswith(SUFFIX) else find_system(cell.system)


def _planned(
    cell: Cell, card: RunnableCard | None, found: Iterable[tuple[RunSpec | Composite, str]]
) -> list[PlannedRun]:
    systems = (card.id,) if isinstance(card, SystemCard) else ()
    return [PlannedRun(spec, run_id, (cell.place,), systems) for spec, run_id in found]


def _request(cell: Cell, card: RunnableCard | None, asked: Mapping[str, Any]) -> Request:
    if card is None:
        return Request(model=cell.model, method=cell.method, **asked)
    return request_of_system(card, **asked)  # type: ignore[arg-type]  # a card that is no composite is a system's


def _source_of(asked: Mapping[str, Any]) -> DataSource:
    named = {name: asked[name] for name in ("data", "dataset", "profile", "plugins") if asked.get(name) is not None}
    return once(
        ("source", json.dumps(named, sort_keys=True, default=str)),
        lambda: choose_source(Request(model="", method="", cache=asked["cache"], **named)),
    )


def with_seeds(spec: RunSpec, seeds: Sequence[int]) -> Iterator[tuple[RunSpec, str]]:
    """A spec with each of several seeds, and the id of each run.

    Args:
        spec: A spec that was checked; no check looks at its seed.
        seeds: The seeds.
    """
    identity = spec.identity()
    for seed in seeds:
        yield dataclasses.replace(spec, seed=seed), run_id_of({**identity, "seed": seed})


def _check_model_once(spec: RunSpec) -> None:
    """Check that the model can be built, once for all cells that have it with these options and front-end."""
    from bench.engine.preflight import check_model

    parts = (spec.model, spec.model_options, spec.frontend, spec.frontend_options, spec.sampling.batch == 1)
    own = (*parts, spec.augment.changes_waveforms)
    shares_memory = spec.distribution.micro_batch or spec.distribution.checkpointing
    key = json.dumps(spec.to_json() if shares_memory else own, sort_keys=True, default=dict)
    once(("model", key), lambda: check_model(spec))
