"""What is looked up once within a block, however often it is asked for.

The plan of a large matrix asks for the same data set, weights and models thousands of times; nothing of that changes
while it is made.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterator
from contextvars import ContextVar
from typing import Any, TypeVar

from bench.core.errors import BenchError

Value = TypeVar("Value")

_kept: ContextVar[dict[Hashable, tuple[Any, BenchError | None]] | None] = ContextVar("_kept", default=None)


@contextlib.contextmanager
def looked_up_once() -> Iterator[None]:
    """Keep what :func:`once` gives until the end of the block; a block within another one shares what it keeps."""
    if _kept.get() is not None:
        yield
        return
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def once(key: Hashable, make: Callable[[], Value]) -> Value:
    """Make something, or give what was made for this key before, within a block of :func:`looked_up_once`.

    Args:
        key: What it depends on.
        make: Makes it.

    Raises:
        BenchError: What ``make`` raised, also when it is asked for again.
    """
    kept = _kept.get()
    if kept is None:
        return make()
    if key not in kept:
        try:
            kept[key] = (make(), None)
        except BenchError as error:
            kept[key] = (None, error.detached())
            raise
    value, failure = kept[key]
    if failure is not None:
        raise type(failure)(failure.message, failure.hint)
    found: Value = value
    return found
