"""Shapes of what front-ends make, read from their options: one input, or several that have names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

from bench.core.errors import SpecError
from bench.core.inputs import UNNAMED, joined

Shape: TypeAlias = tuple[int, ...]
T = TypeVar("T")

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


def input_shapes(options: Any) -> dict[str, Shape]:
    """Shape of each input that a front-end makes of a cycle.

    Args:
        options: Options of the front-end, or itself: their ``shape`` is the same.

    Returns:
        Shape by name; by :data:`bench.core.inputs.UNNAMED` where the front-end makes one input without a name.

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


def picture_sizes(options: Any) -> dict[str, tuple[int, int]]:
    """Frames and mels of those inputs that are pictures, (frames, mels) or (channels, frames, mels).

    Args:
        options: Options of the front-end, with their ``shape``.

    Returns:
        (frames, mels) by name; by :data:`bench.core.inputs.UNNAMED` where the input has none. An input of one axis is
        no picture.
    """
    return {name: (shape[-2], shape[-1]) for name, shape in input_shapes(options).items() if len(shape) > 1}


def batch_shape(shape: Shape, rows: int) -> Shape:
    """Shape of a batch of an input as models get it: a picture (frames, mels) has one channel.

    Args:
        shape: Shape of the input of one cycle.
        rows: Rows of the batch.
    """
    return (rows, 1, *shape) if len(shape) == 2 else (rows, *shape)


def made_up_inputs(options: Any, rows: int, make: Callable[..., T]) -> T | dict[str, T]:
    """Inputs in the shapes of a front-end that hold no recording, to see whether a model takes them.

    Args:
        options: Options of the front-end.
        rows: Rows of the batch.
        make: Makes a tensor of a shape, as ``torch.empty`` and ``torch.randn`` do.

    Returns:
        A tensor, or a tensor for each name.
    """
    return joined({name: make(*batch_shape(shape, rows)) for name, shape in input_shapes(options).items()})


def in_words(options: Any) -> str:
    """Sizes of a front-end's inputs for messages: ``798 by 128``, or ``left 126 by 64, right 64 by 64``."""
    words = {name: " by ".join(map(str, shape)) for name, shape in input_shapes(options).items()}
    return ", ".join(f"{name} {size}".strip() for name, size in words.items())
