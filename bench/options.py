"""Options that live beside their owner: frozen dataclasses whose field docs are also the CLI's help.

An owner (a model, a method, a front-end) declares::

    @dataclass(frozen=True, kw_only=True)
    class PatchMixCLOptions:
        alpha: float = option(1.0, "weight of the contrastive loss", low=0.0)

and everything else (``--set``, help, checks, the run's identity) is derived from that. What a search may look through
stands beside it, as ``space=Space(low=0.1, high=10.0, log=True, grid=(0.5, 1.0, 2.0))``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

from bench.errors import SpecError
from bench.registry import suggestion

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Space:
    """Where a search looks for a number's best value. Words and switches need none: all their choices are looked at.

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
    choices: tuple[str, ...] | None = None,
    space: Space | None = None,
) -> Any:
    """Declare an option as a dataclass field.

    Args:
        default: Its default value; the field's annotation (bool, int, float, str) decides how text is read.
        doc: One line that says what it is.
        low: Smallest allowed value.
        high: Largest allowed value.
        choices: Allowed words.
        space: Where a search looks, for a number that is worth searching.
    """
    metadata = {"doc": doc, "low": low, "high": high, "choices": choices, "space": space}
    return dataclasses.field(default=default, metadata=metadata)


def _convert(value: Any, kind: type, name: str) -> Any:
    if kind is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        found = value if isinstance(value, bool) else words.get(str(value).lower())
        if found is None:
            raise SpecError(f"{name} is '{value}', but must be true or false.")
        return found
    try:
        number = float(value) if kind in (int, float) and not isinstance(value, bool) else value
    except (TypeError, ValueError):
        raise SpecError(f"{name} is '{value}', but must be a number.") from None
    if kind is float:
        return number
    if kind is int:
        if isinstance(number, float) and not number.is_integer():
            raise SpecError(f"{name} is {value}, but must be a whole number.")
        return int(number)
    return str(value)


def check_value(value: Any, kind: type, name: str, metadata: Mapping[str, Any]) -> Any:
    """Convert a value to an option's type and check its range.

    Args:
        value: A value or its text.
        kind: bool, int, float or str.
        name: The option's name, for the message.
        metadata: What :func:`option` stored: ``low``, ``high``, ``choices``.

    Returns:
        The value in its type.

    Raises:
        SpecError: If it cannot be read or lies outside its range; both numbers are in the message.
    """
    converted = _convert(value, kind, name)
    choices, low, high = metadata.get("choices"), metadata.get("low"), metadata.get("high")
    if choices is not None and converted not in choices:
        raise SpecError(f"{name} is '{converted}', but must be one of {', '.join(choices)}.")
    if isinstance(converted, float) and not math.isfinite(converted):
        raise SpecError(f"{name} is {converted}, but must be a finite number.")
    if low is not None and converted < low:
        raise SpecError(f"{name} is {converted}, but must be at least {low}.")
    if high is not None and converted > high:
        raise SpecError(f"{name} is {converted}, but must be at most {high}.")
    return converted


def build_options(cls: type[T], values: Mapping[str, Any], owner: str) -> T:
    """Make an options object from texts or values.

    Args:
        cls: The owner's options dataclass.
        values: Option names and values; names that are left out keep their defaults.
        owner: What the options belong to, for messages (``method patchmix-cl``).

    Raises:
        SpecError: For an unknown name (with a suggestion) or a bad value.
    """
    hints = get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in values:
        if name not in fields:
            raise SpecError(f"Unknown option '{name}' for {owner}: {suggestion(name, fields)}")
    checked = {
        name: check_value(value, hints[name], f"{owner}: {name}", fields[name].metadata)
        for name, value in values.items()
    }
    return cls(**checked)
