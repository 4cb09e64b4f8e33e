"""Shapes of what front-ends make, read from their options: one input, or several that have names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar

from bench.core.errors import SpecError

Shape: TypeAlias = tuple[int, ...]
T = TypeVar("T")

UNNAMED = ""
"""Stands for the name of an input in places where all inputs have one, for the only input of most front-ends."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


def input_shapes(options: Any) -> dict[str, Shape]:
    """Shape of each input that a front-end makes of a cycle.

    Args:
        options: Options of the front-end, or itself: their ``shape`` is the same.

    Returns:
        Shape by name; by :data:`UNNAMED` where the front-end makes one input without a name.

    Raises:
        SpecError: If a name is none that a file can have, or there is no input.
    """
    shape = options.shape
    if not isinstance(shape, Mapping):
        return {UNNAMED: tuple(shape)}
    for name in shape or [None]:
        if not isinstance(name, str) or _NAME.fullmatch(name) is None:
            raise SpecError(
                f"A front-end names the inputs {sorted(map(repr, shape))}, but must name one or more.",
                "A name is up to 32 of a-z, 0-9 and _, and begins with a letter.",
            )
    return {name: tuple(size) for name, size in shape.items()}


def joined(inputs: Mapping[str, T]) -> T | dict[str, T]:
    """What stands for each input, as front-ends, banks and models have it: by name, or by itself without a name.

    Args:
        inputs: By name; by :data:`UNNAMED` alone where the only input has none.
    """
    return inputs[UNNAMED] if set(inputs) == {UNNAMED} else dict(inputs)


def by_name(inputs: T | Mapping[str, T]) -> Mapping[str, T]:
    """The same the other way: what :func:`joined` gave, by name.

    Args:
        inputs: By name, or the only one by itself.
    """
    return inputs if isinstance(inputs, Mapping) else {UNNAMED: inputs}


def picture_sizes(options: Any) -> dict[str, tuple[int, int]]:
    """Frames and mels of those inputs that are pictures, (frames, mels) or (channels, frames, mels).

    Args:
        options: Options of the front-end, with their ``shape``.

    Returns:
        (frames, mels) by name; by :data:`UNNAMED` where the input has none. An input of one axis is no picture.
    """
    return {name: (shape[-2], shape[-1]) for name, shape in input_shapes(options).items() if len(shape) > 1}


def batch_shape(shape: Shape, rows: int) -> Shape:
    """Shape of a batch of an input as models get it: a picture (frames, mels) has one channel.

    Args:
        shape: Shape of the input of one cycle.
        rows: Rows of the batch.
    """
    return (rows, 1, *shape) if len(shape) == 2 else (rows, *shape)


def in_words(options: Any) -> str:
    """Sizes of a front-end's inputs for messages: ``798 by 128``, or ``left 126 by 64, right 64 by 64``."""
    words = {name: " by ".join(map(str, shape)) for name, shape in input_shapes(options).items()}
    return ", ".join(f"{name} {size}".strip() for name, size in words.items())
