"""Composite systems as TOML files: ``bench run --spec fusion.toml``.

::

    name = "cnn6-and-ast"
    combine = "product"

    [parts.cnn]
    model = "cnn6"
    method = "ce"

    [parts.ast]
    model = "ast"
    method = "patchmix-cl"
    settings = { lr = 1e-5, "frontend.seconds" = 4 }

Tables within ``settings`` name an owner: ``frontend.seconds = 4`` is ``"frontend.seconds" = 4``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core.cards import CompositeCard, PartCard
from bench.core.errors import SpecError
from bench.core.registry import suggestion
from bench.core.text import echoed
from bench.experiment.toml_files import flat_settings, read_toml

SUFFIX = ".toml"
"""Ending of the files of composite systems; specs of single runs are JSON."""

HINT = "docs/composites.md shows such a file."

_TOP: Mapping[str, type] = {"name": str, "combine": str, "title": str, "summary": str, "source": str, "parts": dict}
_NEEDED = ("name", "combine", "parts")
_PART: Mapping[str, type] = {
    **dict.fromkeys(("model", "method", "pretrain", "frontend", "init_from", "device"), str),
    "settings": dict,
    "each_device": bool,
    "default": bool,
}
_WORDS = {str: "a text", bool: "true or false", dict: "a table"}


def read_composite(path: Path) -> CompositeCard:
    """Read the file of a composite system; what its parts are is not looked up.

    Args:
        path: The TOML file.

    Raises:
        SpecError: If it cannot be read, is no TOML, or names what no composite has; the key is named.
    """
    document = read_toml(path, "a composite's file", HINT)
    return composite_of(document, str(path))


def composite_of(document: Mapping[str, Any], where: str) -> CompositeCard:
    """Make the card of a composite system of a document's values.

    Args:
        document: What a TOML file holds.
        where: The file, for messages.

    Raises:
        SpecError: At the first key that is unknown, missing, or of another type.
    """
    _check_keys(document, _TOP, _NEEDED, where)
    parts = {}
    for name, values in document["parts"].items():
        place = f"{where}: part '{echoed(name)}'"
        if not isinstance(values, dict):
            raise SpecError(f"{place} is {echoed(repr(values))}, but must be a table.", HINT)
        _check_keys(values, _PART, ("model", "method"), place)
        parts[name] = PartCard(**{**values, "settings": flat_settings(values.get("settings", {}), place, HINT)})
    name = document["name"]
    about = {key: document[key] for key in ("summary", "source") if key in document}
    return CompositeCard(
        id=name,
        title=document.get("title", name),
        combine=document["combine"],
        parts=parts,
        **{"summary": "", **about},
    )


def _check_keys(values: Mapping[str, Any], known: Mapping[str, type], needed: tuple[str, ...], where: str) -> None:
    for key, value in values.items():
        if key not in known:
            raise SpecError(f"{where}: unknown key '{echoed(key)}': {suggestion(key, known)}", HINT)
        if type(value) is not known[key]:
            raise SpecError(f"{where}: {key} is {echoed(repr(value))}, but must be {_WORDS[known[key]]}.", HINT)
    for key in needed:
        if key not in values:
            raise SpecError(f"{where} lacks '{key}'.", HINT)
