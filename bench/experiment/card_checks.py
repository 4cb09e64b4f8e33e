"""What is wrong with a card, where it can be seen from the card alone."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_type_hints

from bench.core.cards import (
    PROFILES,
    SELECTIONS,
    Card,
    FrontEndCard,
    MethodCard,
    ModelCard,
    NoOptions,
    SystemCard,
    TrainableCard,
)
from bench.core.datasets import PATIENT_DISJOINT, TRAIN, DatasetCard, TaskCard
from bench.core.errors import SpecError
from bench.core.options import check_value
from bench.experiment.spec import OWNERS, check_field, settable_fields
from leaderboard.published import TABLES, printed_table

STARTS = ("scratch", "pretrained")

LONGEST_WORD = 40
"""Characters that a result takes for the id of a task or a part, and for the unit."""

HASH = re.compile(r"[0-9a-f]{64}")


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
    if isinstance(card, TrainableCard) and not isinstance(card, SystemCard):
        yield from _problems_of_recipes(card, card.recipes, STARTS)
    if isinstance(card, DatasetCard):
        for recipes in (card.recipes, *(task.recipes for task in card.tasks)):
            yield from _problems_of_recipes(card, recipes, ())


def _problems_of_recipes(
    card: Card, recipes: Mapping[str, Mapping[str, Any]], starts: tuple[str, ...]
) -> Iterator[str]:
    for name, recipe in recipes.items():
        profile, colon, start = name.partition(":")
        if profile not in PROFILES or (colon and start not in starts):
            alone = ", alone or with :scratch or :pretrained" if starts else ""
            yield f"recipe '{name}' must be named paper or demo{alone}"
        for key, value in recipe.items():
            yield from (f"recipe '{name}': {reason}" for reason in _setting_problems(card, key, value))


def _setting_problems(card: Card, key: str, value: Any) -> Iterator[str]:
    """What is wrong with one setting of a recipe; options of another owner show when a run is resolved."""
    kinds = {"model": ModelCard, "dataset": DatasetCard}
    own = next((owner for owner, kind in kinds.items() if isinstance(card, kind)), "method")
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
    if isinstance(card, DatasetCard):
        yield from _dataset_problems(card)
    if isinstance(card, SystemCard):
        yield from _system_problems(card)


def _system_problems(card: SystemCard) -> Iterator[str]:
    """What is wrong with the words of a system; whether it can be resolved is for its model and method to say."""
    if card.selection not in SELECTIONS:
        yield f"selection is '{card.selection}', but must be one of {', '.join(SELECTIONS)}"
    if card.fidelity == "reconstruction" and not card.gaps.strip():
        yield "gaps is empty, but it is a reconstruction"
    for number, quirk in enumerate(card.quirks, start=1):
        if not (quirk.code.strip() and quirk.here.strip()):
            yield f"quirk {number} does not say what the authors' code does, and what is done here"
        if quirk.switch and not all(quirk.switch.partition("=")):
            yield f"quirk {number} has the switch '{quirk.switch}', but must have NAME=VALUE"
    for row in card.rows:
        if row not in _printed_rows():
            yield f"rows names '{row}', which is no printed row"
    for name in card.recipes:
        profile, colon, start = name.partition(":")
        if profile not in PROFILES or (colon and start not in STARTS):
            yield f"recipe '{name}' must be named paper or demo, alone or with :scratch or :pretrained"


def _printed_rows() -> set[str]:
    return {f"{table}/{row.id}" for table in TABLES for row in printed_table(table).rows}


def _dataset_problems(card: DatasetCard) -> Iterator[str]:
    if len(card.id) > LONGEST_WORD:
        yield f"id has {len(card.id)} characters, but must have 1 to {LONGEST_WORD}"
    if card.options is not NoOptions:
        yield "a data set has no options"
    if card.recordings is not None and card.recordings < 1:
        yield f"recordings is {card.recordings}, but must be 1 or more, or None where there is no fixed number"
    if card.patients is not None and not card.shared_patients <= card.patients:
        yield "shared_patients names some that are not among patients"
    for task in card.tasks:
        yield from (f"task '{task.id}': {problem}" for problem in _task_problems(task))


def _task_problems(task: TaskCard) -> Iterator[str]:
    """What is wrong with a task; ids and the unit stand in results, which take so many characters."""
    if not task.title.strip():
        yield "title is empty"
    words = {"id": task.id, "unit": task.unit, **{f"part '{part.id}'": part.id for part in task.parts}}
    for name, word in words.items():
        if not 1 <= len(word) <= LONGEST_WORD:
            yield f"{name} has {len(word)} characters, but must have 1 to {LONGEST_WORD}"
    for part, counts in task.counts.items():
        known = [TRAIN, *(known.id for known in task.parts), PATIENT_DISJOINT]
        if part not in known:
            yield f"counts names '{part}', but the parts are {', '.join(known)}"
        if len(counts) != len(task.classes):
            yield f"counts of '{part}' are {len(counts)}, but there are {len(task.classes)} classes"
    for judged in task.judged_sets:
        if not HASH.fullmatch(judged):
            yield f"judged_sets holds '{judged}', but must hold hashes of 64 hexadecimal digits"
