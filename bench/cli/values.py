"""Numbers and paths on the command line: numbers are read by ASCII digits alone, paths are judged by who uses them.

Typer takes whatever Python reads as a number: ``1_0`` is 10, and digits of every script count. A path that this user
may not read is wrong usage to it, be it a results folder, data, or a file that is only written.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, get_args, get_type_hints

import typer
from typer.models import ParameterInfo

from bench.core.text import decimal_number, echoed, whole_number


def read_values_as_elsewhere(app: typer.Typer) -> None:
    """Have all options and arguments of an application's commands read numbers strictly, and paths as they are.

    Args:
        app: The application with its groups, before a command line is parsed.
    """
    for function in _functions(app):
        # Types are texts until they are evaluated, and each evaluation makes new objects: these are the ones to keep.
        function.__annotations__ = get_type_hints(function, include_extras=True)
        for hint in function.__annotations__.values():
            for info in getattr(hint, "__metadata__", ()):
                if isinstance(info, ParameterInfo):
                    info.readable = False
                    reader = _reader(get_args(hint)[0])
                    info.parser = info.parser if reader is None else _within(reader, info)


def _functions(app: typer.Typer) -> Iterator[Any]:
    """What commands and groups call."""
    for command in app.registered_commands:
        yield command.callback
    if app.registered_callback is not None:
        yield app.registered_callback.callback
    for group in app.registered_groups:
        if group.typer_instance is not None:
            yield from _functions(group.typer_instance)


def _reader(kind: Any) -> Callable[[Any], Any] | None:
    """How text is read for a type: ``int``, ``int | None``, ``list[int]``; None where it is no number's."""
    kinds = {kind, *get_args(kind)}
    return integer if int in kinds else number if float in kinds else None


def _within(reader: Callable[[Any], Any], info: ParameterInfo) -> Callable[[Any], Any]:
    """A reader that refuses what lies outside of an option's bounds: Typer looks at them where it reads by itself."""
    if info.min is None and info.max is None:
        return reader

    @functools.wraps(reader)
    def bounded(text: Any) -> Any:
        value = reader(text)
        if info.min is not None and value < info.min:
            raise typer.BadParameter(f"{echoed(text)} is below {info.min:,}.")
        if info.max is not None and value > info.max:
            raise typer.BadParameter(f"{echoed(text)} is above {info.max:,}.")
        return value

    return bounded


def integer(text: Any) -> Any:
    """A whole number; its name is what the help shows."""
    return _read(text, whole_number)


def number(text: Any) -> Any:
    """A number; its name is what the help shows."""
    return _read(text, decimal_number)


def _read(text: Any, reader: Callable[[str], Any]) -> Any:
    try:
        return reader(text) if isinstance(text, str) else text
    except ValueError as error:
        raise typer.BadParameter(f"{error}.") from None
