"""What a model takes of each clip: one array, or several that have names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias, TypeVar

T = TypeVar("T")
R = TypeVar("R")

OneOrNamed: TypeAlias = T | Mapping[str, T]
"""The only input by itself, or every input by its name."""

UNNAMED = ""
"""Stands for the name of an input in places where all inputs have one, for the only input of most front-ends."""


def joined(inputs: Mapping[str, T]) -> T | dict[str, T]:
    """What stands for each input, in the form that front-ends, banks and models have it.

    Args:
        inputs: By name; by :data:`UNNAMED` alone where the only input has none.

    Returns:
        By name; by itself where the only input has no name.
    """
    return inputs[UNNAMED] if set(inputs) == {UNNAMED} else dict(inputs)


def by_name(inputs: T | Mapping[str, T]) -> Mapping[str, T]:
    """What stands for each input by name, the reverse of :func:`joined`.

    Args:
        inputs: By name, or the only one by itself.
    """
    return inputs if isinstance(inputs, Mapping) else {UNNAMED: inputs}


def map_inputs(function: Callable[[T], R], inputs: T | Mapping[str, T]) -> R | dict[str, R]:
    """Call a function with what stands for each input.

    Args:
        function: The function.
        inputs: By name, or the only one by itself.

    Returns:
        What it returned, in the form of ``inputs``.
    """
    return joined({name: function(value) for name, value in by_name(inputs).items()})
