"""What the paper says of Figure 2: the hyper-parameters it varies, and the values it chose."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, kw_only=True)
class PrintedParameter:
    """A hyper-parameter that the figure varies.

    Attributes:
        symbol: The parameter's sign in the paper.
        chosen: The value that the paper's final runs use.
    """

    symbol: str
    chosen: float


@dataclass(frozen=True, kw_only=True)
class PrintedFigure:
    """What the paper says of its Figure 2.

    Attributes:
        title: What the figure shows.
        source: Where the figure is printed.
        model: Id of the model that is trained.
        method: Id of the method whose options the figure varies; for another method the choices say nothing.
        parameters: The varied hyper-parameters by the name of the method's option.
    """

    title: str
    source: str
    model: str
    method: str
    parameters: Mapping[str, PrintedParameter]


@cache
def printed_figure2() -> PrintedFigure:
    """Read the figure's data, which belong to the package."""
    text = resources.files(__package__).joinpath("figure2.toml").read_text(encoding="utf-8")
    document = tomllib.loads(text)
    parameters = {name: PrintedParameter(**values) for name, values in document.pop("parameters").items()}
    return PrintedFigure(**document, parameters=parameters)
