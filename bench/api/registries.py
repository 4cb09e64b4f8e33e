"""What there is of models, methods and front-ends, read from their cards; nothing heavy is imported."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_type_hints

from bench.core.cards import WeightsCard
from bench.core.registry import Registry, RegistryEntry
from bench.experiment.plugins import load_plugins
from bench.experiment.registries import registries

logger = logging.getLogger(__name__)

Kind = Literal["model", "method", "frontend"]


@dataclass(frozen=True)
class Listing:
    """The entries of a registry.

    Attributes:
        rows: A card's fields by name, with ``origin`` and ``version`` (None for what is built in).
        families: Prefixes that name more than is listed, and what they stand for.
    """

    rows: Sequence[dict[str, Any]]
    families: Sequence[tuple[str, str]]


def list_entries(kind: Kind, columns: Sequence[str], plugins: Sequence[Path] = ()) -> Listing:
    """List models, methods or front-ends.

    Args:
        kind: What is listed.
        columns: The fields of their cards that are wanted.
        plugins: Files with entries of your own.

    Raises:
        SpecError: If a file cannot be imported.
    """
    registry = _registry(kind, plugins)
    rows = [
        {**{name: getattr(entry.card, name) for name in columns}, "origin": entry.origin, "version": entry.version}
        for entry in registry
    ]
    return Listing(rows, [(family.prefix, family.doc) for family in registry.families])


def show_entry(kind: Kind, name: str, plugins: Sequence[Path] = ()) -> dict[str, Any]:
    """A card as plain data: its fields, its options with defaults, limits and help, recipes, weights, and its origin.

    Args:
        kind: What is asked for.
        name: Its id.
        plugins: Files with entries of your own.

    Raises:
        RegistryError: If there is no such id.
        SpecError: If a file cannot be imported.
    """
    return _described(_registry(kind, plugins).get(name))


def _registry(kind: Kind, plugins: Sequence[Path]) -> Registry[Any]:
    """A registry with some plug-ins; a broken package is named in the log."""
    load_plugins(plugins)
    registry = registries()[kind]
    for problem in registry.problems():
        logger.warning(f"not usable: {problem.reason}")
    return registry


def _described(entry: RegistryEntry[Any]) -> dict[str, Any]:
    card = entry.card
    document = {field.name: getattr(card, field.name) for field in dataclasses.fields(card)}
    hints = get_type_hints(card.options)
    document["options"] = {
        field.name: described_option(field, hints[field.name]) for field in dataclasses.fields(card.options)
    }
    if "version" in document:
        # The entry's own version is that of a plug-in's code.
        document["feature_version"] = document.pop("version")
    if "weights" in document:
        document["weights"] = {name: _describe_weights(weights) for name, weights in card.weights.items()}
    if "recipes" in document:
        document["recipes"] = {profile: dict(recipe) for profile, recipe in card.recipes.items()}
    return {**document, "origin": entry.origin, "version": entry.version}


def _describe_weights(weights: WeightsCard) -> dict[str, str]:
    """Weights as plain data; a hash that nobody published is recorded at the first download."""
    document = dataclasses.asdict(weights)
    md5, sha256 = document.pop("md5"), document.pop("sha256")
    known = f"SHA-256 {sha256}" if sha256 else f"MD5 {md5}" if md5 else None
    return {**document, "hash": known or "recorded at the first download, compared at every other"}


def described_option(field: dataclasses.Field[Any], kind: type) -> dict[str, Any]:
    """An option, or a field of a spec, as plain data: type, default, limits, choices, search space and help.

    Args:
        field: The field that declares it.
        kind: Its type.
    """
    least = field.metadata.get("run_low")
    limits = {"low": field.metadata.get("low") if least is None else least, "high": field.metadata.get("high")}
    choices = field.metadata.get("choices")
    return {
        "type": kind.__name__,
        "default": field.default,
        **limits,
        "choices": list(choices) if choices else None,
        "space": dataclasses.asdict(space) if (space := field.metadata.get("space")) else None,
        "help": field.metadata.get("doc", ""),
    }


def allowed_values(option: Mapping[str, Any]) -> str:
    """The values that an option may have: ``one of a, b``, ``int, 1 or more``, ``float, 0 to 1``, ``true or false``.

    Args:
        option: From :func:`described_option`.
    """
    low, high = option["low"], option["high"]
    if option["choices"]:
        return f"one of {', '.join(option['choices'])}"
    if low is not None and high is not None:
        return f"{option['type']}, {_number(low)} to {_number(high)}"
    if low is not None:
        return f"{option['type']}, {_number(low)} or more"
    kind = {"bool": "true or false", "str": "text"}.get(option["type"], str(option["type"]))
    return kind if high is None else f"{kind}, {_number(high)} or less"


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def range_of_search(space: Mapping[str, Any]) -> str:
    """The ends between which a search looks, as ``--space`` takes them; empty where there is a grid alone.

    Args:
        space: The ``space`` of an option, from :func:`described_option`.
    """
    return "" if space["low"] is None else f"{space['low']:g}..{space['high']:g}{':log' if space['log'] else ''}"


def values_of_grid(space: Mapping[str, Any]) -> str:
    """The values that a grid search tries; argument as for :func:`range_of_search`."""
    return ", ".join(f"{value:g}" for value in space["grid"])
