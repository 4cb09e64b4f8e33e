"""The settings of a run: what recipes set, what a user gives, and the names by which both are called."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from dataclasses import fields as fields_of
from types import MappingProxyType
from typing import Any, TypeAlias

from bench.core.cards import FrontEndCard, MethodCard, ModelCard
from bench.core.datasets import DatasetCard, TaskCard
from bench.core.errors import SpecError
from bench.core.fields import flat_fields
from bench.core.inputs import UNNAMED
from bench.core.options import build_options
from bench.core.registry import suggestion
from bench.core.text import echoed
from bench.data.frontends.shapes import batch_shape, input_shapes
from bench.experiment.spec import OWNERS, RunSpec, check_field, settable_fields

Cards: TypeAlias = Mapping[str, Any]
"""The cards of a run by ``model``, ``method`` and ``frontend``."""


PROFILE_RECIPES: Mapping[str, Mapping[str, Any]] = {"demo": {"precision": "fp32"}}
"""What a profile sets for every model and method: the numbers of the demo are the same on every CPU."""


def given_settings(fields: Mapping[str, Any], pairs: Sequence[str]) -> dict[str, Any]:
    """What a user gives, by the names that were used: flags of their own first, ``--set`` over them.

    Args:
        fields: Values of flags; None where one was not given.
        pairs: Each ``key=value``.

    Raises:
        SpecError: If a pair is none.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise SpecError(f"--set takes key=value, not '{echoed(pair)}'.", "For example --set lr=1e-4.")
        given[name.strip()] = value
    return given


def merged_settings(
    given: Mapping[str, Any],
    cards: Cards,
    profile: str,
    pretrain: str,
    data: Mapping[str, Any] = MappingProxyType({}),
    published: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """The settings of a run by the spec's names: recipes first, what a user gives over them; every field is checked.

    Args:
        given: From :func:`given_settings`.
        cards: Cards of model, method and front-end.
        profile: ``paper`` or ``demo``.
        pretrain: Weights that the training starts from, or ``none``.
        data: What data set and task change in the recipes, from :func:`data_recipe`.
        published: What a published system sets beyond the recipes of model and method; data go over it too.

    Raises:
        SpecError: For an unknown setting, a value that a field cannot have, or settings that exclude one another.
    """
    values = recipe_values(cards["model"], cards["method"], cards["frontend"], profile, pretrain)
    own = {full_name(name, cards): value for name, value in published.items()}
    # In a recipe of both lengths iterations decide.
    length = {name: value for name, value in own.items() if name != "epochs" or not own.get("iterations")}
    values = {**_of_asked_length(values, length), **own}
    values |= taken_by(cards["frontend"], data)
    given = {full_name(name, cards): value for name, value in given.items()}
    if "seed" in given:
        raise SpecError("The seed is no setting, as a system is run with several.", "Use --seed or --seeds.")
    checked = _checked_fields(given)
    _check_recipe_names(values)
    return {**_of_asked_length(_checked_fields(values), checked), **checked}


def recipe_values(
    model: ModelCard | None, method: MethodCard | None, frontend: FrontEndCard | None, profile: str, pretrain: str
) -> dict[str, Any]:
    """What the recipes set, by the spec's names, unchecked; the method's is laid over the model's.

    Args:
        model: The model; None where only a method's recipe is asked for.
        method: The method; None where only a model's recipe is asked for.
        frontend: The front-end, where one is known.
        profile: ``paper`` or ``demo``.
        pretrain: Weights that the training starts from, or ``none``.
    """
    values = dict(PROFILE_RECIPES.get(profile, {}))
    for card in (model, method):
        values |= card.recipe(profile, pretrain) if card else {}
    if model is None or frontend is None or frontend.id == model.frontend:
        return values
    # Recipes are written for the front-end of the model's card; another one may lack some of its options or values.
    return taken_by(frontend, values)


def data_recipe(card: DatasetCard, task: TaskCard, profile: str) -> dict[str, Any]:
    """What a data set, and after it a task, change in the recipes of model and method, by the spec's names."""
    return {**card.recipes.get(profile, {}), **task.recipes.get(profile, {})}


def taken_by(frontend: FrontEndCard, values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings without those that a front-end does not have, or not with these values."""
    return {
        name: value
        for name, value in values.items()
        if not name.startswith("frontend.") or _front_end_takes(frontend, name.removeprefix("frontend."), value)
    }


def _check_recipe_names(values: Mapping[str, Any]) -> None:
    """Refuse a recipe that sets what is no field of the spec; options are checked with their owner's others."""
    for name in values:
        if "." not in name and name not in settable_fields():
            raise SpecError(
                f"The recipes of this run set '{echoed(name)}', which is no setting: "
                f"{suggestion(name, settable_fields())}",
                "Mend it in the card of the model, method, data set or task; `bench settings` lists them.",
            )


def _checked_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert and check the fields of the spec among some settings; options are checked with their owner's others."""
    return {name: value if "." in name else check_field(name, value) for name, value in values.items()}


def _of_asked_length(recipe: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Fit a recipe to the length that is given over it: another length in it goes, and its warm-up is no longer.

    Raises:
        SpecError: If a length in epochs is given and one in iterations.
    """
    # No iterations (0) is no length: epochs decide.
    lengths = [name for name in ("epochs", "iterations") if given.get(name)]
    if len(lengths) > 1:
        raise SpecError("Both epochs and iterations are given, but a run has one length.", "Leave one of them out.")
    other = {"epochs": "iterations", "iterations": "epochs"}
    fitted = {name: value for name, value in recipe.items() if name not in [other[length] for length in lengths]}
    if "iterations" in lengths:
        # How many epochs these are, the data say: no warm-up is known to have room.
        fitted.pop("warmup_epochs", None)
    elif "epochs" in given and "warmup_epochs" in fitted:
        fitted["warmup_epochs"] = min(fitted["warmup_epochs"], given["epochs"] - 1)
    return fitted


def _front_end_takes(frontend: FrontEndCard, name: str, value: Any) -> bool:
    """Whether a front-end has an option, and takes the value that a recipe for another one gives it."""
    if name not in option_names(frontend):
        return False
    options: Any = frontend.options
    choices = options.__dataclass_fields__[name].metadata.get("choices")
    return choices is None or value in choices


def option_names(card: Any) -> set[str]:
    """Give the names of a card's options."""
    return {option.name for option in fields_of(card.options)}


def full_name(name: str, cards: Cards) -> str:
    """The spec's name of a setting: a field, ``owner.option``, or an option that only one owner has.

    Raises:
        SpecError: If there is no such setting, or several owners have such an option.
    """
    if name in settable_fields():
        return name
    owner, dot, option = name.partition(".")
    in_parts = _names_in_parts()
    if name in in_parts:
        return in_parts[name]
    if dot and owner in cards and option in option_names(cards[owner]):
        return name
    owners = [owner for owner in OWNERS if name in option_names(cards[owner])]
    if len(owners) == 1:
        return f"{owners[0]}.{name}"
    if len(owners) > 1:
        raise SpecError(f"'{name}' is an option of {' and of '.join(owners)}.", f"Write {owners[0]}.{name}.")
    known = [*settable_fields(), *(f"{o}.{n}" for o in OWNERS for n in option_names(cards[o]))]
    short = [*known, *(n for o in OWNERS for n in option_names(cards[o])), *(in_parts if dot else ())]
    place = f"method {cards['method'].id}, model {cards['model'].id}"
    raise SpecError(
        f"Unknown setting '{echoed(name)}' for {place}: {suggestion(name, short)}",
        f"`bench settings --model {cards['model'].id} --method {cards['method'].id}` lists them all.",
    )


@functools.cache
def _names_in_parts() -> Mapping[str, str]:
    """Flat names of settable fields by what they are called in their part, where `optim.lr` is `lr`."""
    found: dict[str, str] = {}
    for flat, (part, declared) in flat_fields(RunSpec).items():
        if part is not None and flat in settable_fields():
            # By the field's own name or by its flat one.
            found |= {f"{part}.{flat}": flat, f"{part}.{declared.name}": flat}
    return found


def owners_options(values: Mapping[str, Any], cards: Cards) -> dict[str, dict[str, Any]]:
    """Options of model, method and front-end, complete with defaults; the model's input size follows the front-end.

    Args:
        values: From :func:`merged_settings`.
        cards: Cards of model, method and front-end.

    Raises:
        SpecError: For a value that an option cannot have.
    """
    model, method, frontend = (cards[owner] for owner in OWNERS)
    chosen: dict[str, dict[str, Any]] = {owner: {} for owner in OWNERS}
    for name, value in values.items():
        owner, dot, option = name.partition(".")
        if dot:
            chosen[owner][option] = value
    frontend_options: Any = build_options(frontend.options, chosen["frontend"], f"front-end {frontend.id}")
    chosen["model"] = {**input_size(model, frontend_options), **chosen["model"]}
    return {
        "model": asdict(build_options(model.options, chosen["model"], f"model {model.id}")),
        "method": asdict(build_options(method.options, chosen["method"], f"method {method.id}")),
        "frontend": asdict(frontend_options),
    }


def input_size(model: ModelCard, frontend_options: Any) -> dict[str, int]:
    """The options ``channels``, ``frames`` and ``mels`` of a model, as far as it has them, as its pictures have them.

    Args:
        model: The model.
        frontend_options: Options of the front-end.
    """
    # Inputs that are no pictures say nothing of any, and of several that have names the model knows itself.
    shape = input_shapes(frontend_options).get(UNNAMED, ())
    sizes = batch_shape(shape, 1)[1:] if len(shape) > 1 else ()
    found = dict(zip(("channels", "frames", "mels"), sizes, strict=False))
    return {name: size for name, size in found.items() if name in option_names(model)}
