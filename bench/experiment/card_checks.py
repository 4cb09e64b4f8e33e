"""What is wrong with a card, where it can be seen from the card alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, get_type_hints

from bench.core.cards import Card, FrontEndCard, MethodCard, ModelCard, TrainableCard
from bench.core.errors import SpecError
from bench.core.options import check_value
from bench.experiment.spec import check_field, settable_fields

PROFILES = ("paper", "demo")
STARTS = ("scratch", "pretrained")
OWNERS = ("model", "method", "frontend")


def card_problems(card: Card) -> list[str]:
    """Find what a card lacks or gets wrong.

    A card whose fidelity is ``original`` needs neither source nor citation: there is nothing published to match.

    Args:
        card: Any card.

    Returns:
        One clause for each problem; none for a complete card.
    """
    return [*_text_problems(card), *_option_problems(card), *_recipe_problems(card), *_kind_problems(card)]


def _text_problems(card: Card) -> Iterator[str]:
    published = ("source", "citation") if card.fidelity != "original" else ()
    formula = ("formula",) if isinstance(card, MethodCard) else ()
    for name in ("title", "summary", *formula, *published):
        if not getattr(card, name).strip():
            yield f"{name} is empty"
    if card.citation and not card.citation.lstrip().startswith("@"):
        yield "citation is no BibTeX entry: it must begin with @"


def _option_problems(card: Card) -> Iterator[str]:
    hints = get_type_hints(card.options)
    for field in dataclasses.fields(card.options):
        if hints[field.name] not in (bool, int, float, str):
            yield f"option {field.name} must be a bool, int, float or str"
        elif not field.metadata.get("doc"):
            yield f"option {field.name} has no help: declare it with bench.core.options.option"
        else:
            yield from _refusals(check_value, field.default, hints[field.name], f"option {field.name}", field.metadata)


def _refusals(check: Callable[..., Any], *arguments: Any) -> Iterator[str]:
    try:
        check(*arguments)
    except SpecError as error:
        yield error.message.rstrip(".")


def _recipe_problems(card: Card) -> Iterator[str]:
    if not isinstance(card, TrainableCard):
        return
    for name, recipe in card.recipes.items():
        profile, colon, start = name.partition(":")
        if profile not in PROFILES or (colon and start not in STARTS):
            yield f"recipe '{name}' must be named paper or demo, alone or with :scratch or :pretrained"
        for key, value in recipe.items():
            yield from (f"recipe '{name}': {reason}" for reason in _setting_problems(card, key, value))


def _setting_problems(card: Card, key: str, value: Any) -> Iterator[str]:
    """What is wrong with one setting of a recipe; options of another owner show when a run is resolved."""
    own = "model" if isinstance(card, ModelCard) else "method"
    options = {f"{own}.{field.name}": field for field in dataclasses.fields(card.options)}
    if key in settable_fields():
        yield from _refusals(check_field, key, value)
    elif key in options:
        kind = get_type_hints(card.options)[options[key].name]
        yield from _refusals(check_value, value, kind, key, options[key].metadata)
    elif key.startswith(f"{own}.") or key.partition(".")[0] not in OWNERS:
        yield f"'{key}' is no setting"


def _kind_problems(card: Card) -> Iterator[str]:
    if isinstance(card, MethodCard) and card.views not in (1, 2):
        yield f"views is {card.views}, but must be 1 or 2"
    if isinstance(card, FrontEndCard) and not hasattr(card.options(), "shape"):
        yield "its options have no property `shape` (frames, mels)"
