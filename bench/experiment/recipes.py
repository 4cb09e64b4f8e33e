"""From what a user asked for to a complete spec: recipes of model and method, then flags, then everything derived."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.core.cards import PROFILES as RECIPE_PROFILES
from bench.core.cards import MethodCard, ModelCard, Recipes, chosen_recipe
from bench.core.datasets import DATASETS, DatasetCard
from bench.core.errors import DataError, SpecError
from bench.core.hub import is_on_hub
from bench.core.paths import home_folder
from bench.core.process_group import refuse_foreign_group
from bench.core.registry import suggestion
from bench.core.text import counted_noun, echoed
from bench.data.dataset import Dataset
from bench.data.location import held_set, made_set
from bench.data.sources import FetchableReader, MadeReader, dataset_folder, is_held, load_dataset, reader_of
from bench.engine.tracking import NO_TRACKER, VARIABLE, check_trackers
from bench.experiment.devices import (
    check_precision,
    choose_device,
    choose_precision,
    device_shares_for,
    is_planned_elsewhere,
)
from bench.experiment.initial_runs import find_initial_run
from bench.experiment.judgement import check_combinations
from bench.experiment.plugins import extensions, load_plugins
from bench.experiment.settings import data_recipe, given_settings, merged_settings, owners_options
from bench.experiment.spec import OWNERS, RunSpec, settable_fields, without_defaults

logger = logging.getLogger(__name__)

DEMO = "demo"
PROFILES = ("auto", *RECIPE_PROFILES)


@dataclass(frozen=True, kw_only=True)
class Request:
    """The request of a user, before anything is looked up.

    Attributes:
        model: Id of the model.
        method: Id of the method.
        pretrain: Weights by name, file or URL; None for the card's default.
        frontend: Front-end id; None for the one on the model's card.
        profile: auto, paper or demo.
        data: Folder, ``demo``, or None for the default place.
        dataset: Id of the data set; None for the one that the folder holds.
        task: Id of the task; None for the first of the set.
        cache: Cache folder.
        settings: ``key=value`` pairs of ``--set``.
        fields: Fields that have a flag of their own (``epochs``, ``method.alpha``), None where not given.
        allow_partial: Whether a set with recordings missing may be used.
        processes: Number of processes.
        device: auto, cpu or cuda.
        precision: auto, fp32, bf16 or fp16.
        plugins: Plug-in files that ids are looked up in.
        init_from: Run that the training starts from, as :func:`bench.experiment.initial_runs.find_initial_run` takes
            it; None for the pretrained weights alone.
        home: Results folder that the run is looked for in.
        recipes: Settings of a published system by profile, laid over the recipes of model and method.
        published_pretrain: Weights that a published system starts from in the paper profile; None for the card's
            default.
    """

    model: str
    method: str
    cache: Path
    pretrain: str | None = None
    frontend: str | None = None
    profile: str = "auto"
    data: str | None = None
    dataset: str | None = None
    task: str | None = None
    settings: Sequence[str] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    allow_partial: bool = False
    processes: int = 1
    device: str = "auto"
    precision: str = "auto"
    plugins: Sequence[str | Path] = ()
    init_from: str | None = None
    home: Path | None = None
    recipes: Recipes = field(default_factory=dict)
    published_pretrain: str | None = None


@dataclass(frozen=True)
class DataSource:
    """The data that a request comes down to, and the profile that goes with them.

    Attributes:
        folder: Folder with the data; None for the simulated set, which is made when it is needed.
        profile: Recipes that are used, ``paper`` or ``demo``.
        reason: Clause that tells the user why these data were chosen.
        dataset: Id of the data set.
    """

    folder: Path | None
    profile: str
    reason: str
    dataset: str

    @property
    def simulated(self) -> bool:
        """Whether a program made the data, whatever the profile is."""
        return DATASETS.card(self.dataset).simulated


def choose_source(request: Request) -> DataSource:
    """Decide on data and profile; a simulated set is made on the spot only where no folder was named.

    Raises:
        DataError: If the folder that the user named holds no data set.
        SpecError: If the profile does not exist.
    """
    if request.profile not in PROFILES:
        raise SpecError(f"Unknown profile '{echoed(request.profile)}': {suggestion(request.profile, PROFILES)}")
    load_plugins(request.plugins)
    asked = DATASETS.card(request.dataset) if request.dataset else None
    made = made_set(request.data, asked)
    if made is not None:
        return _made_on_the_spot(request, made, "the simulated set was asked for")
    card = asked or DATASETS.primary().card
    folder = dataset_folder(card, request.data)
    if asked is None or is_held(card.id, folder):
        found = asked or held_set(folder)
        if found is not None:
            profile = _profile_or_automatic(request, found.profile)
            return DataSource(folder, profile, f"data found in {folder}", found.id)
    if request.data is not None or asked is not None:
        words = card.short_title.removesuffix(" data")
        raise DataError(f"No {words} data below {folder}.", _how_to_get(card, folder))
    if request.profile == "paper":
        raise DataError(
            f"The paper profile needs the {card.short_title} data, but there are none below {folder}.",
            "Fetch them with `bench data fetch`, name their folder with --data, or use --profile demo.",
        )
    reason = f"no {card.short_title} data below {folder}, so the simulated set is used"
    return DataSource(None, DEMO, reason, DATASETS.simulated().id)


def check_request(request: Request, source: DataSource) -> None:
    """Look up every word of a request, before anything is said or made; needs no data, no weights and no network.

    Args:
        request: What the user asked for. Where its model is ``""``, the cells of a matrix have models of their own, and
            are looked at one by one.
        source: Data and profile, from :func:`choose_source`.

    Raises:
        SpecError: For an unknown id, option or value, or a method that cannot train the model.
        WeightsError: If the pretrained weights are neither known by name nor a file.
    """
    from baselines.weights import check_named

    check_precision(request.precision)
    if request.model:
        chosen = _choose(request, DATASETS.card(source.dataset), source.profile)
        check_named(chosen.cards["model"], chosen.pretrain)
        if request.init_from is not None and not is_on_hub(request.init_from):
            _start_fields(request)
    choose_device(request.device)


def _how_to_get(card: DatasetCard, folder: Path) -> str:
    """What to do where a folder does not hold the data set that was asked for."""
    held = held_set(folder)
    if held is not None:
        return f"The folder holds {held.title}: use --dataset {held.id}, or name another folder with --data."
    if not isinstance(reader_of(card.id), FetchableReader):
        return f"{card.obtain} Or name another folder with --data.".lstrip()
    if card.primary:
        return "Fetch them with `bench data fetch`, name another folder with --data, or use --data demo."
    return f"Fetch them with `bench data fetch --dataset {card.id}`, or name another folder with --data."


def _made_on_the_spot(request: Request, card: DatasetCard, reason: str) -> DataSource:
    return DataSource(None, _profile_or_automatic(request, card.profile), reason, card.id)


def _profile_or_automatic(request: Request, automatic: str) -> str:
    return automatic if request.profile == "auto" else request.profile


def resolve(request: Request, source: DataSource, seeds: Sequence[int]) -> list[RunSpec]:
    """Turn a request into one complete spec per seed.

    Args:
        request: What the user asked for.
        source: Data and profile, from :func:`choose_source`.
        seeds: One run each.

    Raises:
        SpecError: For an unknown id, option or value, or a combination that cannot be run.
        WeightsError: If the pretrained weights cannot be had.
        DataError: If the data are missing or broken.
    """
    from baselines.weights import locate

    refuse_foreign_group()
    plugins = load_plugins(request.plugins)
    chosen = _choose(request, DATASETS.card(source.dataset), source.profile)
    model, method, frontend = (chosen.cards[owner] for owner in OWNERS)
    pretrain, values, options = chosen.pretrain, chosen.values, chosen.options
    device = choose_device(request.device)
    folder = source.folder or _made_folder(source.dataset, request.cache)
    dataset = load_dataset(
        folder, source.dataset, request.task, allow_partial=request.allow_partial, cache=request.cache
    )
    weights = locate(model, pretrain, request.cache)
    is_named = weights is None or pretrain in model.weights
    common = dict(
        model=model.id,
        model_options=options["model"],
        pretrain=pretrain if is_named else "file",
        weights_sha256=None if weights is None else weights.sha256,
        weights=None if weights is None else str(weights.path),
        method=method.id,
        method_options=options["method"],
        frontend=frontend.id,
        frontend_version=frontend.version,
        frontend_options=options["frontend"],
        precision=choose_precision(values.get("precision", "auto"), device, request.cache),
        extensions=extensions(model.id, method.id, frontend.id, source.dataset),
        plugins=plugins,
        profile=source.profile,
        device=device,
        processes=request.processes,
        cache=str(request.cache.resolve()),
        **_data_fields(dataset),
        **_start_fields(request),
        **{name: value for name, value in values.items() if "." not in name and name not in ("seed", "precision")},
    )
    specs = [RunSpec.of(**common, seed=seed) for seed in seeds]
    for spec in specs:
        check_spec(spec)
    return specs


@dataclass(frozen=True)
class _Chosen:
    """The part of a spec that follows from a request and the cards: what is trained, how, and from which weights."""

    cards: Mapping[str, Any]
    pretrain: str
    values: Mapping[str, Any]
    options: Mapping[str, Mapping[str, Any]]


def _choose(request: Request, judged: DatasetCard, profile: str) -> _Chosen:
    """Apply recipes and settings to a request; raises as :func:`recipe_fields`."""
    import baselines
    import methods
    from bench.data.frontends import FRONTENDS

    model, method = baselines.MODELS.card(request.model), methods.METHODS.card(request.method)
    check_pair(model, method)
    cards = {"model": model, "method": method, "frontend": FRONTENDS.card(request.frontend or model.frontend)}
    pretrain = chosen_pretrain(request, model, profile)
    changed = data_recipe(judged, judged.task(request.task), profile)
    published = chosen_recipe(request.recipes, profile, pretrain)
    check_precision(request.precision)
    asked = {} if request.precision == "auto" else {"precision": request.precision}
    given = {**_of_environment(), **given_settings({**request.fields, **asked}, request.settings)}
    values = merged_settings(given, cards, profile, pretrain, changed, published)
    check_trackers(values.get("tracker", NO_TRACKER), elsewhere=is_planned_elsewhere())
    return _Chosen(cards, pretrain, values, owners_options(values, cards))


def _of_environment() -> dict[str, Any]:
    """Settings that the environment gives where nothing else does."""
    return {"tracker": os.environ[VARIABLE]} if os.environ.get(VARIABLE) else {}


def chosen_pretrain(request: Request, model: ModelCard, profile: str) -> str:
    """The weights that a request starts from; those of a published system are for the paper profile alone.

    Args:
        request: What is asked for.
        model: The card of its model.
        profile: ``paper`` or ``demo``.
    """
    if request.pretrain is not None:
        return request.pretrain
    published = request.published_pretrain if profile != DEMO else None
    return published or default_pretrain(model, profile)


def recipe_fields(request: Request, profile: str) -> dict[str, Any]:
    """Apply the recipes to a request, from the cards alone; needs no data, no weights and no torch.

    Args:
        request: What is asked for. Where it names no data set, the recipes are those of the primary one.
        profile: ``paper`` or ``demo``.

    Returns:
        The identity fields of the spec that a user can change, without seed and precision, and the options of model,
        method and front-end; those of later versions that have their default are left out, as in a run's spec.

    Raises:
        SpecError: For an unknown id, option or value, or a method that cannot train the model.
    """
    judged = DATASETS.card(request.dataset) if request.dataset else DATASETS.primary().card
    chosen = _choose(request, judged, profile)
    settable = {name: item.default for name, item in settable_fields().items() if item.metadata["role"] == "identity"}
    fields = {name: chosen.values.get(name, default) for name, default in settable.items()}
    found = {
        **{name: value for name, value in fields.items() if name not in ("seed", "precision")},
        **{owner: card.id for owner, card in chosen.cards.items()},
        **{f"{owner}_options": options for owner, options in chosen.options.items()},
    }
    return {name: value for name, value in without_defaults(found).items() if name not in ("model", "method")}


def _made_folder(dataset: str, cache: Path) -> Path:
    def on_progress(done: int, total: int) -> None:
        if done == 1:
            logger.info(f"making the simulated set: {counted_noun(total, 'recording')}, a few seconds")

    reader: MadeReader = reader_of(dataset)
    return reader.make(cache, on_progress=on_progress)


def default_pretrain(model: ModelCard, profile: str) -> str:
    """The weights that a model starts from where a user names none."""
    return model.default_pretrain if profile == "paper" or model.pretrained_in_demo else "none"


def _data_fields(dataset: Dataset) -> dict[str, Any]:
    return {
        "dataset": dataset.name,
        "task": dataset.task.id,
        "data_fingerprint": dataset.fingerprint,
        "partial": dataset.partial,
        "data": str(Path(dataset.root).resolve()),
    }


def _start_fields(request: Request) -> dict[str, Any]:
    if request.init_from is None:
        return {}
    start = find_initial_run(request.init_from, home_folder(request.home), request.cache)
    return {"init_from": start.name, "init_weights": str(start.folder.path.resolve())}


def check_pair(model: ModelCard, method: MethodCard) -> None:
    """Check that a method can train a model.

    Raises:
        SpecError: If it needs patches and the model has none; the models that can be trained are named.
    """
    if method.needs_patches and not model.patches:
        import baselines

        able = ", ".join(entry.id for entry in baselines.MODELS if entry.card.patches)
        raise SpecError(
            f"The method '{method.id}' mixes patches, but the model '{model.id}' has none.",
            f"Models that have: {able}.",
        )


def check_spec(spec: RunSpec) -> None:
    """Check whether a spec can be run, here and now, as far as it says so itself: the one check of flags and documents.

    Its plug-ins are loaded. What data and weights have a say in is in :func:`bench.engine.preflight.check_start`.

    Raises:
        SpecError: If a field, an option or a combination of them cannot be run, or not with this code or machine.
    """
    check_combinations(spec)
    import baselines
    import methods

    check_pair(baselines.MODELS.card(spec.model), methods.METHODS.card(spec.method))
    _check_machine(spec)


def _check_machine(spec: RunSpec) -> None:
    """Check that this machine has what a spec runs on: what `auto` would not choose is refused in a spec as well."""
    device = choose_device(spec.distribution.device)
    choose_precision(spec.precision, device, Path(spec.cache))
    device_shares_for({"device": device, "processes": spec.distribution.processes})
    check_trackers(spec.tracking.tracker, elsewhere=is_planned_elsewhere())
