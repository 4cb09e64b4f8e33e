"""Tables as data frames of whichever library the user has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from bench.core.errors import SpecError

LIBRARIES = ("pandas", "polars")
"""The libraries that a frame may be of, the first one that is installed."""


def data_frame(columns: Mapping[str, Sequence[Any]]) -> Any:
    """Columns of equal length as a data frame of pandas, or of polars where that alone is installed.

    Raises:
        SpecError: If neither is installed.
    """
    for library in LIBRARIES:
        if find_spec(library) is not None:
            return import_module(library).DataFrame(dict(columns))
    raise SpecError("A data frame needs pandas or polars, and neither is installed.", "pip install pandas")
