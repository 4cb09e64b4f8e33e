"""How an error crosses a process border: as a JSON document that keeps its class, message, hint and exit code."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from bench.core.errors import BenchError, RunError, UnexpectedError
from bench.core.log import PACKAGES


def error_document(error: BaseException) -> dict[str, Any]:
    """An error as JSON.

    Args:
        error: A :class:`~bench.core.errors.BenchError`, or any other exception, of which nobody has thought.
    """
    kind = type(error)
    where = {"module": kind.__module__, "type": kind.__qualname__}
    if isinstance(error, BenchError):
        said = {"message": error.message, "hint": error.hint, "exit_code": error.exit_code}
        return {**where, **said, "expected": True}
    return {**where, "message": str(error), "hint": None, "exit_code": RunError.exit_code, "expected": False}


def read_error(document: Mapping[str, Any]) -> BenchError:
    """The error that :func:`error_document` wrote.

    Returns:
        An error of the very class, if this project has one of that name. One of a plug-in's own classes is a
        :class:`~bench.core.errors.RunError` with its exit code. An exception that nobody has thought of is an
        :class:`~bench.core.errors.UnexpectedError`, whose message begins with its type.
    """
    message, hint = str(document["message"]), document["hint"]
    if not document["expected"]:
        return UnexpectedError(f"{document['type']}: {message}" if message else str(document["type"]), hint)
    kind = _error_class(str(document["module"]), str(document["type"]))
    if kind is not None:
        return kind(message, hint)
    error = RunError(message, hint)
    error.exit_code = int(document["exit_code"])
    return error


def _error_class(module: str, name: str) -> type[BenchError] | None:
    """A class of this project's tree of errors by its name; None if there is no such class."""
    if module.partition(".")[0] not in PACKAGES:
        return None
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return None
    return found if isinstance(found, type) and issubclass(found, BenchError) else None
