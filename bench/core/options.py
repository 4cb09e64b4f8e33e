"""Options that live beside their owner: frozen dataclasses whose field docs are also the CLI's help.

An owner (a model, a method, a front-end) declares::

    @dataclass(frozen=True, kw_only=True)
    class PatchMixCLOptions:
        alpha: float = option(1.0, "weight of the contrastive loss", low=0.0)

and everything else (``--set``, help, checks, the run's identity) is derived from that. What a search may look through
stands beside it, as ``space=Space(low=0.1, high=10.0, log=True, grid=(0.5, 1.0, 2.0))``. An option that is added to a
class of which there are runs already carries ``since=2`` (3, 4, ...): while it has its default, it is no part of a
run's identity (:func:`without_later_defaults`).

Values come as text (flags), as values of the code (recipes), or from a document (a spec's file): :func:`check_value`
reads the first two, :func:`check_given` takes from the third what has its type already.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

from bench.core.errors import SpecError
from bench.core.registry import suggestion
from bench.core.text import LARGEST_WHOLE, decimal_number, echoed, whole_number

T = TypeVar("T")

TEXT_LIMIT = 4096
"""Characters of a text, at most: as many as a path may have."""

SWITCHES = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
UPDATE = "If a newer lungbench wrote it, update this one: pip install --upgrade lungbench"
"""What to do about a document with a field that is not known here."""

_UNSTORED = ("Cc", "Cs", "Zl", "Zp")
"""Categories of control characters, halves of surrogate pairs (bytes that are not UTF-8) and line breaks."""

_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Space:
    """The range in which a search looks for a number's best value; of words and switches all choices are looked at.

    Attributes:
        low: Smallest value; None where only the grid is meant.
        high: Largest value; None where only the grid is meant.
        log: Whether values are spread evenly on a logarithmic scale.
        grid: Values of a grid search.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    grid: tuple[float, ...] = ()


def option(
    default: Any,
    doc: str,
    *,
    low: float | None = None,
    high: float | None = None,
    run_low: float | None = None,
    choices: tuple[str, ...] | None = None,
    boundless: str | None = None,
    space: Space | None = None,
    since: int | None = None,
) -> Any:
    """Declare an option as a dataclass field.

    Args:
        default: Default value of the option; the field's annotation (bool, int, float, str) decides how text is read.
        doc: One line that says what it is.
        low: Smallest allowed value.
        high: Largest allowed value.
        run_low: Smallest value of a new run, where finished runs may have smaller ones down to ``low``.
        choices: Allowed words.
        boundless: Why a number lacks a bound; every other one has both.
        space: Where a search looks, for a number that is worth searching.
        since: In which version of the class the option came, 2 or more; None for the first. A later option stays out
            of a run's identity while it has its default, which must therefore never change.

    Raises:
        ValueError: If ``since`` is not a whole number of 2 or more.
    """
    limits = {"low": low, "high": high, "run_low": run_low, "choices": choices, "boundless": boundless}
    metadata = {"doc": doc, **limits, "space": space, **since_metadata(since)}
    return dataclasses.field(default=default, metadata=metadata)


def since_metadata(since: int | None) -> dict[str, int]:
    """What a field's metadata hold of the version that it came in: nothing for one of the first version.

    Raises:
        ValueError: If the version is not a whole number of 2 or more.
    """
    if since is None:
        return {}
    if type(since) is not int or since < 2:
        raise ValueError(f"since is {since!r}, but must be a whole number of 2 or more: the first version is 1.")
    return {"since": since}


@functools.cache
def later_defaults(cls: type) -> Mapping[str, Any]:
    """The defaults of a dataclass's fields that came in a later version (``since``), by name."""
    return {field.name: _default(field) for field in dataclasses.fields(cls) if "since" in field.metadata}


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    if field.default is dataclasses.MISSING:
        raise ValueError(f"{field.name} came in version {field.metadata['since']}, and so must have a default.")
    return field.default


def without_later_defaults(values: Mapping[str, Any], cls: type) -> dict[str, Any]:
    """Leave out the fields of later versions (``since``) where they have their default.

    Args:
        values: Fields by name.
        cls: The dataclass that declares them.
    """
    later = later_defaults(cls)
    return {name: value for name, value in values.items() if name not in later or value != later[name]}


def check_value(value: Any, kind: type, name: str, metadata: Mapping[str, Any]) -> Any:
    """Convert a value to an option's type and check its range.

    Args:
        value: A value or its text. Numbers are ASCII digits: what else Python reads as one (``1_0``, other scripts'
            digits) is refused.
        kind: bool, int, float or str.
        name: The option's name, for the message.
        metadata: What :func:`option` stored: ``low``, ``high``, ``choices``.

    Returns:
        The value in its type.

    Raises:
        SpecError: If it cannot be read or lies outside its range; both numbers are in the message.
    """
    converted = _parse_text(value, kind, name) if isinstance(value, str) else _convert(value, kind, name)
    _check_range(converted, name, metadata)
    return converted


def check_given(value: Any, kind: type, name: str, metadata: Mapping[str, Any]) -> None:
    """Check a value that came with a type of its own, from a document; nothing is converted.

    Args:
        value: What the document holds.
        kind: bool, int, float (for which a whole number is one too) or str.
        name: The option's name, for the message.
        metadata: What :func:`option` stored.

    Raises:
        SpecError: If it is of another type or outside its range.
    """
    kinds = (int, float) if kind is float else (kind,)
    if type(value) not in kinds:
        raise SpecError(f"{name} is {echoed(repr(value))}, but must be {KINDS[kind]}.")
    _check_range(value, name, metadata)


def _parse_text(text: str, kind: type, name: str) -> Any:
    """The value that a text stands for."""
    if kind is str:
        return text
    word = text.strip(" \t\r\n")
    if kind is bool:
        if word.lower() not in SWITCHES:
            raise SpecError(f"{name} is '{echoed(text)}', but must be true or false.")
        return SWITCHES[word.lower()]
    if _NOT_FINITE.fullmatch(word):
        raise SpecError(f"{name} is {word}, but must be a finite number.")
    try:
        return whole_number(word) if kind is int else decimal_number(word)
    except ValueError:
        raise SpecError(f"{name} is '{echoed(text)}', but must be {_wanted_in_words(word, kind)}.") from None


def _wanted_in_words(word: str, kind: type) -> str:
    """What a text should have been: a number at all, a whole one, or one that a computer holds."""
    try:
        decimal_number(word)
    except ValueError as error:
        return "a number" if "no number" in str(error) else "a number that 64 bits hold"
    return "a whole number of at most 64 bits" if kind is int else "a number"


def _convert(value: Any, kind: type, name: str) -> Any:
    """A value of the code in an option's type: 2 where a float is meant, 2.0 where an int is."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is float and is_number:
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if (kind is int and isinstance(value, int) and is_number) or (kind is bool and isinstance(value, bool)):
        return value
    if kind is str:
        return str(value)
    raise SpecError(f"{name} is {echoed(value)}, but must be {KINDS[kind]}.")


def _check_range(value: Any, name: str, metadata: Mapping[str, Any]) -> None:
    if isinstance(value, str):
        check_text(value, name)
    choices, low, high = metadata.get("choices"), metadata.get("low"), metadata.get("high")
    if choices is not None and value not in choices:
        raise SpecError(f"{name} is '{echoed(value)}', but must be one of {', '.join(choices)}.")
    if isinstance(value, float) and not math.isfinite(value):
        raise SpecError(f"{name} is {value}, but must be a finite number.")
    if low is not None and value < low:
        raise SpecError(f"{name} is {value}, but must be at least {low}.")
    if high is not None and value > high:
        raise SpecError(f"{name} is {echoed(value)}, but must be at most {high}.")
    if isinstance(value, int) and not -LARGEST_WHOLE - 1 <= value <= LARGEST_WHOLE:
        raise SpecError(f"{name} is {echoed(value)}, but must be a whole number of at most 64 bits.")


def check_text(text: str, name: str, limit: int = TEXT_LIMIT) -> None:
    """Check a text that is stored and shown.

    Args:
        text: The text.
        name: What it is, for the message.
        limit: Characters at most.

    Raises:
        SpecError: If it is longer, or holds control characters or what is not UTF-8.
    """
    if len(text) > limit:
        raise SpecError(f"{name} has {len(text)} characters, but must have at most {limit}.")
    if not is_plain(text):
        raise SpecError(
            f"{name} is '{echoed(text)}', which holds control characters or is not UTF-8, and cannot be stored.",
            "Use another name.",
        )


def is_plain(text: str) -> bool:
    """Whether a text is UTF-8 without control characters and line breaks of any kind."""
    if text.isascii():
        # Nearly all texts, and a fifth of the time.
        return text.isprintable()
    return not any(unicodedata.category(character) in _UNSTORED for character in text)


@functools.cache
def field_types(cls: type) -> Mapping[str, Any]:
    """The types of a dataclass's fields by name; read once, since annotations are texts that have to be evaluated."""
    return get_type_hints(cls)


def build_options(cls: type[T], values: Mapping[str, Any], owner: str) -> T:
    """Make an options object from texts or values.

    Args:
        cls: The owner's options dataclass.
        values: Option names and values; names that are left out keep their defaults.
        owner: What the options belong to, for messages (``method patchmix-cl``).

    Raises:
        SpecError: For an unknown name (with a suggestion) or a bad value.
    """
    hints = field_types(cls)  # type: ignore[arg-type]
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in values:
        if name not in fields:
            raise SpecError(f"Unknown option '{echoed(name)}' for {owner}: {suggestion(name, fields)}")
    checked = {
        name: check_value(value, hints[name], f"{owner}: {name}", fields[name].metadata)
        for name, value in values.items()
    }
    return cls(**checked)


def check_options(cls: type, values: Mapping[str, Any], owner: str, *, new: bool) -> None:
    """Check options that came from a document; those that are left out keep their defaults.

    Args:
        cls: The owner's options dataclass.
        values: Option names and values.
        owner: What the options belong to, for messages.
        new: Whether they are for a run that is to begin, which some values of finished runs are not for.

    Raises:
        SpecError: For an unknown name (with a suggestion) or a bad value.
    """
    hints, fields = field_types(cls), {field.name: field for field in dataclasses.fields(cls)}
    for name, value in values.items():
        if name not in fields:
            known = suggestion(name, fields)
            raise SpecError(f"Unknown option '{echoed(name)}' for {owner}: {known}", UPDATE)
        metadata = fields[name].metadata
        check_given(value, hints[name], f"{owner}: {name}", metadata)
        if new and metadata.get("run_low") is not None and value < metadata["run_low"]:
            raise SpecError(f"{owner}: {name} is {value}, but must be at least {metadata['run_low']}.")
