"""The contract of the command line as text: every command with its options, in a form that a diff shows well.

``PYTHONPATH=. python tests/support/cli_contract.py`` writes it anew.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import typer

FILE = Path(__file__).resolve().parents[1] / "bench" / "cli" / "contract.txt"
OF_TYPER = ("install_completion", "show_completion")
"""Options whose words are Typer's, not ours."""


TYPES = {str: "text", Path: "path", int: "integer", float: "number", bool: "switch"}


def contract(app: typer.Typer) -> str:
    """All commands, each followed by its options and arguments in the order of its help."""
    lines = [
        "# Options of every command: names, type, multiplicity, default, variable, help.",
        "# Written by: PYTHONPATH=. python tests/support/cli_contract.py",
    ]
    functions = dict(functions_of("bench", app))
    for path, command in commands_of("bench", typer.main.get_command(app)):
        hints = get_type_hints(functions[path], include_extras=True) if path in functions else {}
        parameters = [parameter_line(one, hints[one.name]) for one in command.params if one.name not in OF_TYPER]
        lines += ["", path, *(f"  {line}" for line in parameters)]
    return "\n".join(lines) + "\n"


def commands_of(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    """A built command and those below it, with the words that call each."""
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands_of(f"{path} {name}", below)


def functions_of(path: str, app: typer.Typer) -> Iterator[tuple[str, Callable[..., Any]]]:
    """What each command calls, with the words that call it."""
    if app.registered_callback is not None and app.registered_callback.callback is not None:
        yield path, app.registered_callback.callback
    for command in app.registered_commands:
        assert command.callback is not None
        yield f"{path} {command.name or command.callback.__name__.replace('_', '-')}", command.callback
    for group in app.registered_groups:
        assert group.typer_instance is not None
        yield from functions_of(f"{path} {group.name}", group.typer_instance)


def parameter_line(parameter: Any, hint: Any) -> str:
    """One option or argument."""
    names = [*parameter.opts, *(f"/ {name}" for name in parameter.secondary_opts)]
    if parameter.param_type_name == "argument":
        names = [parameter.metavar or parameter.name.upper()]
    variable = f"; {parameter.envvar}" if parameter.envvar else ""
    facts = f"{_type(hint)}, {_multiplicity(parameter)}, {_default(parameter)}{variable}"
    return f"{' '.join(names)} ({facts}): {parameter.help or ''}"


def _type(hint: Any) -> str:
    """A type in a word, with its limits; read from the annotation, which every version of Typer leaves as it is."""
    if get_origin(hint) is Annotated:
        kind, info, *_ = get_args(hint)
        low, high = getattr(info, "min", None), getattr(info, "max", None)
        return _type(kind) + _limits(low, high)
    if get_origin(hint) in (list, tuple, Union, types.UnionType):
        return _type(next(kind for kind in get_args(hint) if kind is not types.NoneType))
    return TYPES[hint]


def _limits(low: float | None, high: float | None) -> str:
    if low is None:
        return "" if high is None else f" up to {high}"
    return f" from {low}" + ("" if high is None else f" to {high}")


def _multiplicity(parameter: Any) -> str:
    if getattr(parameter, "count", False):
        return "counted"
    if getattr(parameter, "multiple", False) or parameter.nargs == -1:
        return "repeated"
    if getattr(parameter, "is_flag", False):
        return "given or not"
    return "once" if parameter.nargs == 1 else f"{parameter.nargs} words"


def _default(parameter: Any) -> str:
    return "required" if parameter.required else f"default {json.dumps(parameter.default)}"


if __name__ == "__main__":
    from bench.cli import app

    FILE.write_text(contract(app), encoding="utf-8")
