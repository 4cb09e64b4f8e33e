"""What a study searches: spaces that stand beside their parameters, overridden from the command line.

Knows nothing of Optuna but how to write a dimension as one of its distributions.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast, get_type_hints

from bench.core.cards import Card
from bench.core.errors import SpecError
from bench.core.options import Space, build_options, check_value
from bench.core.registry import suggestion
from bench.core.text import LARGEST_WHOLE, decimal_number, echoed, whole_number
from bench.experiment.recipes import check_spec
from bench.experiment.settings import full_name
from bench.experiment.spec import RunSpec, field_type, settable_fields

if TYPE_CHECKING:
    from optuna.trial import Trial

UNSEARCHED = ("seed", "precision")
"""Fields that a study sets by itself, or that say where it runs."""

MOST_VALUES = 1000
"""Values of a list: each trial is stored with all of them."""

Value = float | int | str | bool
"""A value of a searched parameter."""

Cards = Mapping[str, Card]
"""The cards of model, method and front-end, by owner: ``model``, ``method``, ``frontend``."""


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """One parameter and the values that it may have: a range, or a list.

    Attributes:
        name: Name of the parameter as the user gives it (``alpha``).
        field: Full name of the parameter in the spec (``method.alpha``, ``lr``).
        low: Smallest value of a range.
        high: Largest value of a range.
        log: Whether a range is searched on a logarithmic scale.
        whole: Whether a range holds whole numbers alone.
        values: The values of a list; empty for a range.
    """

    name: str
    field: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    values: tuple[Value, ...] = ()

    def __str__(self) -> str:
        if self.values:
            return ", ".join(str(value) for value in self.values)
        return f"{self.low:g}..{self.high:g}{':log' if self.log else ''}"

    def to_json(self) -> dict[str, Any]:
        """Write the dimension as a JSON document that :meth:`from_json` reads."""
        if self.values:
            return {"field": self.field, "values": list(self.values)}
        names = ("field", "low", "high", "log", "whole")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_json(cls, name: str, document: Mapping[str, Any]) -> Dimension:
        """Read a dimension from the JSON document that :meth:`to_json` wrote."""
        return cls(name=name, **{**document, "values": tuple(document.get("values", ()))})

    def suggest(self, trial: Trial) -> Value:
        """Give the value that a trial has in this dimension; a new trial gets one from its sampler."""
        if self.values:
            return cast("Value", trial.suggest_categorical(self.name, self.values))
        if self.whole:
            return trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)


def build_space(params: Sequence[str], overrides: Sequence[str], cards: Cards, *, grid: bool) -> tuple[Dimension, ...]:
    """Build the space of a study from the parameters to search and from spaces given on the command line.

    Args:
        params: Names of the parameters to search; those that ``overrides`` name where this is empty.
        overrides: Texts like ``lr=1e-5..1e-3:log`` and ``batch=8,16,32``.
        cards: The cards of model, method and front-end, by owner.
        grid: Whether a grid is wanted, so that every dimension must be a list.

    Raises:
        SpecError: For a parameter that is unknown or has no space, or a space that is empty, reversed or wrongly typed.
    """
    texts = _split_overrides(overrides)
    names = list(dict.fromkeys(params or texts))
    if not names:
        raise SpecError("Nothing to search: no --param is given.", f"For example --param {_example_parameters(cards)}.")
    fields = {name: _searchable_field(name, cards) for name in names}
    for name in texts:
        if name not in names:
            raise SpecError(f"--space names '{echoed(name)}', which is not searched: {suggestion(name, names)}")
    twice = sorted({field for field in fields.values() if list(fields.values()).count(field) > 1})
    if twice:
        raise SpecError(f"--param names {twice[0]} twice.")
    return tuple(_dimension(name, fields[name], texts.get(name), cards, grid) for name in names)


def _split_overrides(overrides: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in overrides:
        name, separator, values = (part.strip() for part in text.partition("="))
        if not separator or not name or not values:
            raise SpecError(
                f"--space takes key=low..high, key=low..high:log or key=a,b,c, not '{echoed(text)}'.",
                "For example --space lr=1e-5..1e-3:log.",
            )
        if name in found:
            raise SpecError(f"--space names '{echoed(name)}' twice.")
        found[name] = values
    return found


def _example_parameters(cards: Cards) -> str:
    """Parameters for an example in a message: those that the method declares a space for, or two of every run."""
    options = dataclasses.fields(cards["method"].options)
    return ",".join(field.name for field in options if field.metadata.get("space")) or "lr,weight_decay"


def _searchable_field(name: str, cards: Cards) -> str:
    if not name:
        raise SpecError("--param names an empty parameter.", f"For example --param {_example_parameters(cards)}.")
    field = full_name(name, cards)
    if field.startswith("frontend."):
        raise SpecError(
            f"'{name}' belongs to the front-end, and a study has one set of features.",
            f"Give it with --set {name}=…, a study for each value.",
        )
    if field in UNSEARCHED or ("." not in field and settable_fields()[field].metadata["role"] != "identity"):
        raise SpecError(
            f"'{name}' cannot be searched.", f"Search what the method declares: {_example_parameters(cards)}."
        )
    return field


def _type_and_limits(field: str, cards: Cards) -> tuple[type, Mapping[str, Any]]:
    owner, dot, option = field.partition(".")
    if not dot:
        return field_type(field), settable_fields()[field].metadata
    options = cards[owner].options
    return get_type_hints(options)[option], {item.name: item.metadata for item in dataclasses.fields(options)}[option]


def _dimension(name: str, field: str, text: str | None, cards: Cards, grid: bool) -> Dimension:
    kind, limits = _type_and_limits(field, cards)
    if text is None:
        return _declared_dimension(name, field, kind, limits, grid)
    if ".." in text and kind in (int, float):
        return _range_dimension(name, field, text, kind, limits, grid)
    if ".." in text and "," not in text:
        raise SpecError(f"{name} is no number and has no range.", f"Write it as --space {name}=a,b,c.")
    return _list_dimension(name, field, text, kind, limits)


def _list_dimension(name: str, field: str, text: str, kind: type, limits: Mapping[str, Any]) -> Dimension:
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise SpecError(f"--space {name}={echoed(text)} holds an empty value.", f"Write it as --space {name}=a,b,c.")
    values = tuple(dict.fromkeys(_checked_value(word, kind, name, limits) for word in words))
    if len(values) == 1 < len(words):
        raise SpecError(
            f"--space {name}={echoed(text)} names one value {len(words)} times.", f"Write it as --space {name}=a,b,c."
        )
    if len(values) > MOST_VALUES:
        raise SpecError(f"--space {name} lists {len(values)} values, but can have {MOST_VALUES} at most.")
    return Dimension(name=name, field=field, values=values)


def _range_dimension(name: str, field: str, text: str, kind: type, limits: Mapping[str, Any], grid: bool) -> Dimension:
    bounds, colon, scale = text.partition(":")
    ends = [end.strip() for end in bounds.split("..")]
    # Three points would leave open to which number the middle one belongs.
    if len(ends) != 2 or not all(ends) or "..." in bounds:
        raise SpecError(
            f"--space {name}={echoed(text)} is no range: it has two numbers with '..' between them.",
            f"Write it as --space {name}=low..high or low..high:log.",
        )
    if colon and scale.strip() != "log":
        raise SpecError(f"--space {name}={echoed(text)}: the scale is '{echoed(scale)}', but can only be log.")
    low, high = (_checked_value(end, kind, name, limits) for end in ends)
    found = Dimension(name=name, field=field, low=low, high=high, log=bool(colon), whole=kind is int)
    _check_range(found, echoed(text), grid)
    return found


def _checked_value(word: str, kind: type, name: str, limits: Mapping[str, Any]) -> Any:
    """Convert a word to the type of the parameter, and check that it lies within the parameter's limits."""
    return check_value(_number(word, kind, name) if kind in (int, float) else word, kind, f"--space {name}", limits)


def _number(word: str, kind: type, name: str) -> float | int:
    try:
        return whole_number(word) if kind is int else decimal_number(word)
    except ValueError:
        pass
    try:
        found = decimal_number(word)
    except ValueError:
        raise SpecError(
            f"--space {name} is '{echoed(word)}', but must be a number, finite and in the digits 0 to 9."
        ) from None
    # As in 1e2, or beyond 64 bits.
    if not found.is_integer() or abs(found) > LARGEST_WHOLE:
        raise SpecError(f"--space {name} is {echoed(word)}, but must be a whole number of at most 64 bits.")
    return int(found)


def _check_range(found: Dimension, text: str, grid: bool) -> None:
    name = found.name
    if found.low >= found.high:
        word = "reversed" if found.low > found.high else "empty"
        raise SpecError(f"--space {name}={text} is {word}.", f"Write it as --space {name}=low..high, low below high.")
    if found.log and found.low <= 0:
        raise SpecError(f"--space {name}={text}: a logarithmic range must begin above 0.")
    if not math.isfinite(found.high - found.low):
        raise SpecError(f"--space {name}={text} is wider than the largest number.")
    if grid:
        raise SpecError(f"--space {name}={text} is no grid.", f"List its values: --space {name}=a,b,c.")


def _declared_dimension(name: str, field: str, kind: type, limits: Mapping[str, Any], grid: bool) -> Dimension:
    if kind is bool:
        return Dimension(name=name, field=field, values=(True, False))
    if limits.get("choices"):
        return Dimension(name=name, field=field, values=tuple(limits["choices"]))
    space: Space | None = limits.get("space")
    if space is None:
        raise SpecError(
            f"'{name}' declares no search space.", f"Give it one: --space {name}=low..high, or --space {name}=a,b,c."
        )
    if space.grid and (grid or space.low is None):
        return Dimension(name=name, field=field, values=tuple(kind(value) for value in space.grid))
    if grid or space.low is None or space.high is None:
        raise SpecError(f"'{name}' declares no grid.", f"List its values: --space {name}=a,b,c.")
    return Dimension(name=name, field=field, low=space.low, high=space.high, log=space.log, whole=kind is int)


def apply_params(base: RunSpec, params: Mapping[str, Value], space: Sequence[Dimension], cards: Cards) -> RunSpec:
    """Make the spec of a trial: the study's spec with the parameters of the trial.

    Args:
        base: The study's spec.
        params: Values of the trial by the names of the dimensions.
        space: The study's space.
        cards: The cards of model and method, by owner.

    Raises:
        SpecError: If the values cannot be run together.
    """
    changes: dict[str, Any] = {}
    options: dict[str, dict[str, Any]] = {}
    for dimension in space:
        owner, dot, option = dimension.field.partition(".")
        if dot:
            options.setdefault(owner, {})[option] = params[dimension.name]
        else:
            changes[owner] = params[dimension.name]
    for owner, values in options.items():
        merged = {**getattr(base, f"{owner}_options"), **values}
        built: Any = build_options(cards[owner].options, merged, f"{owner} {cards[owner].id}")
        changes[f"{owner}_options"] = dataclasses.asdict(built)
    if "epochs" in changes and "warmup_epochs" not in changes:
        # As where --epochs is given: the recipe's warm-up belongs to its own number of epochs.
        changes["warmup_epochs"] = min(base.schedule.warmup_epochs, changes["epochs"] - 1)
    spec = base.changed(**changes)
    check_spec(spec)
    return spec


def grid_size(space: Sequence[Dimension]) -> int:
    """Count the points of a grid: the product of the numbers of values."""
    points = 1
    for dimension in space:
        points *= len(dimension.values)
    return points


def grid_point(space: Sequence[Dimension], number: int) -> dict[str, Value]:
    """Give a point of a grid by its number from 0, in the order in which the last parameter changes fastest.

    Every worker computes the same point for the same number, so that no grid needs to be stored.
    """
    point: dict[str, Value] = {}
    for dimension in reversed(space):
        number, place = divmod(number, len(dimension.values))
        point[dimension.name] = dimension.values[place]
    return {dimension.name: point[dimension.name] for dimension in space}
