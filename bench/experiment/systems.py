"""Systems: from the card of a published row to the request of its run, or to the composite that it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.core.cards import PROFILES, CompositeCard, RunnableCard, SystemCard
from bench.core.errors import RegistryError, SpecError
from bench.core.registry import GUIDE
from bench.core.text import echoed
from bench.experiment.card_checks import card_problems
from bench.experiment.plugins import load_plugins
from bench.experiment.recipes import DEMO, Request, recipe_fields
from bench.experiment.registries import SYSTEMS


def find_system(name: str, plugins: Sequence[str | Path] = ()) -> RunnableCard:
    """The card of a system or of a composite that comes without one.

    Args:
        name: Its id.
        plugins: Plug-in files that ids are looked up in too.

    Raises:
        RegistryError: If there is none of this id, or one of a plug-in names what does not exist.
        SpecError: If a plug-in cannot be loaded, or its card cannot be.
    """
    load_plugins(plugins)
    entry = SYSTEMS.get(name)
    if entry.version is not None and isinstance(entry.card, SystemCard):
        check_system(entry.card)
    return entry.card


def system_card(name: str) -> SystemCard:
    """The card of a system that is registered as one; raises RegistryError where there is none."""
    card = SYSTEMS.card(name)
    assert isinstance(card, SystemCard)
    return card


def find_run(name: str, plugins: Sequence[str | Path] = ()) -> SystemCard:
    """The card of a system that is a single run; arguments and errors as for :func:`find_system`.

    Raises:
        SpecError: Also if it is a composite.
    """
    card = find_system(name, plugins)
    if isinstance(card, SystemCard) and card.composite is None:
        return card
    raise SpecError(
        f"The system '{name}' is a composite of several runs.",
        f"`bench run --system {name}` runs it, and `bench systems show {name}` has its parts.",
    )


def composite_of(card: RunnableCard, profile: str = "paper") -> CompositeCard | None:
    """The graph of runs that a system is; None where it is a single run.

    Args:
        card: A system, or a composite by itself.
        profile: ``paper`` or ``demo``; in the demo profile the parts of a system start from scratch.
    """
    if isinstance(card, CompositeCard):
        return card
    assert isinstance(card, SystemCard)
    if card.composite is None or profile != DEMO:
        return card.composite
    return from_scratch(card.composite)


def from_scratch(graph: CompositeCard) -> CompositeCard:
    """A composite whose parts start from untrained weights, or from one another."""
    parts = {name: dataclasses.replace(part, pretrain="none") for name, part in graph.parts.items()}
    return dataclasses.replace(graph, parts=parts)


def system_fields(card: SystemCard) -> dict[str, Any]:
    """What a system says of a request, by the request's names: model, method, front-end, weights and recipes."""
    recipes = {name: {**recipe, **card.settings} for name, recipe in card.recipes.items()}
    return {
        "model": card.model,
        "method": card.method,
        "frontend": card.frontend,
        "published_pretrain": card.pretrain,
        "recipes": {**{profile: dict(card.settings) for profile in PROFILES}, **recipes},
    }


def request_of_system(card: SystemCard, **asked: Any) -> Request:
    """The request of a system's run, with what a user asks for laid over it.

    Args:
        card: A system that is a single run.
        **asked: Fields of the request; None where a user gives nothing.

    Raises:
        SpecError: If another model or method is asked for than the system's.
    """
    for what in ("model", "method"):
        other = asked.pop(what, None)
        if other not in (None, getattr(card, what)):
            raise SpecError(
                f"The {what} of the system '{card.id}' is {getattr(card, what)}, not {echoed(other)}.",
                f"Leave --{what} out, or leave --system out and name model and method.",
            )
    own = system_fields(card)
    if asked.get("frontend") is not None:
        own.pop("frontend")
    return Request(**{**asked, **own})


# --- the card by itself -----------------------------------------------------------------------------------------


def check_system(card: SystemCard) -> None:
    """Check what a system says of itself: that it is a run or a composite, and that all it names exists.

    Raises:
        SpecError: If it is neither or both, sets what is no setting, or its words are incomplete.
        RegistryError: If model, method or front-end is unknown.
    """
    from bench.experiment.composites import check_card

    place = f"The system '{card.id}'"
    for problem in card_problems(card):
        raise SpecError(f"{place}: {problem}.", GUIDE)
    if card.composite is not None:
        _check_composite(card)
        check_card(card.composite)
    elif not (card.model and card.method):
        raise SpecError(f"{place} names no model and method, and is no composite.", "Give it both.")
    for profile in PROFILES:
        for request in _requests(card):
            _check_request(place, request, profile)
    for quirk in card.quirks:
        for request in _requests(card, quirk.switch):
            _check_request(place, request, "paper")


def is_on_by_default(card: SystemCard, switch: str) -> bool:
    """Whether the paper's recipe of a system has a quirk of the authors' code, whose switch changes nothing then.

    Args:
        card: A system that was checked.
        switch: The quirk's switch.
    """
    pairs = zip(_requests(card), _requests(card, switch), strict=True)
    return all(recipe_fields(plain, "paper") == recipe_fields(switched, "paper") for plain, switched in pairs)


def _requests(card: SystemCard, switch: str = "") -> list[Request]:
    """The requests of a system's run, or of the runs of its parts, with a setting laid over them."""
    from bench.experiment.composites import part_requests

    settings = [switch] if switch else []
    if card.composite is None:
        return [request_of_system(card, cache=Path(), settings=settings)]
    return list(part_requests(card.composite, {"cache": Path(), "settings": settings}).values())


def _check_composite(card: SystemCard) -> None:
    said = [name for name in ("model", "method", "pretrain", "frontend", "settings", "recipes") if getattr(card, name)]
    if said:
        raise SpecError(
            f"The system '{card.id}' is a composite, but has a {said[0]} of its own.", "Say it of each part instead."
        )


def _check_request(place: str, request: Request, profile: str) -> None:
    try:
        recipe_fields(request, profile)
    except (SpecError, RegistryError) as error:
        raise type(error)(f"{place}, profile {profile}: {error.message}", error.hint) from error
