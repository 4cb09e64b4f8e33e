"""How help is laid out: in Typer's panels where they leave room for what is said, otherwise as a list."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

LEAST_WORDS = 32
"""Columns for the words on an option below which panels would cut them."""

FRAME, GAP = 6, 2
"""Columns of a panel's frame with the mark of what is required, and between two columns."""

NARROWEST = 20
"""Columns of a list on a terminal that says it has fewer: words of one letter a line help nobody."""

SIDE_BY_SIDE = 60
"""Columns from which a list has names and words beside each other."""


class _FittingHelp:
    """The help of a command, or of a group of them, that shows no type behind a flag, and fits the terminal."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Its parameters, with ``--help``."""
        return _without_types_of_flags(super().get_params(ctx))  # type: ignore[misc] # of the command beside it

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        if _panels_fit(self.get_params(ctx)):
            super().format_help(ctx, formatter)  # type: ignore[misc] # of the command beside it
        else:
            _write_list(self, ctx, formatter)


class HelpedCommand(_FittingHelp, TyperCommand):
    """A command whose help fits the terminal."""


class HelpedGroup(_FittingHelp, TyperGroup):
    """A group whose help fits the terminal."""


def fitting_help(app: typer.Typer) -> None:
    """Have the help of all commands of an application fit the terminal.

    Args:
        app: The application with its groups, before a command line is parsed.
    """
    for command in app.registered_commands:
        command.cls = HelpedCommand
    for group in app.registered_groups:
        group.cls = HelpedGroup
        if group.typer_instance is not None:
            fitting_help(group.typer_instance)


def _without_types_of_flags(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if getattr(parameter, "is_flag", False) or getattr(parameter, "count", False):
            parameter.metavar = ""  # what is None becomes <bool>
    return parameters


def _width() -> int:
    return shutil.get_terminal_size().columns


def _panels_fit(parameters: Iterable[Any]) -> bool:
    """Whether names and values of all parameters leave room for what is said of them, in columns of a panel."""
    shown = [parameter for parameter in parameters if not getattr(parameter, "hidden", False)]
    columns = zip(*map(_name_columns, shown), strict=True)
    names = sum(widest + GAP for column in columns if (widest := max(map(len, column))))
    return _width() - names - FRAME >= LEAST_WORDS


def _name_columns(parameter: Any) -> tuple[str, ...]:
    """Long and short names, those that say no, and the value, as they stand in columns of their own."""
    both = (parameter.opts, parameter.secondary_opts)
    long = [",".join(name for name in names if name.startswith("--")) for names in both]
    short = [",".join(name for name in names if not name.startswith("--")) for names in both]
    value = "<int range> [x>=1]" if parameter.metavar is None else parameter.metavar
    return (*long, *short, value)


# --- a list -----------------------------------------------------------------------------------------------------


def _write_list(command: Any, ctx: Any, formatter: Any) -> None:
    """Write use, description, arguments, options and commands as text; lines of examples stay lines."""
    formatter.width = max(_width() - 1, NARROWEST)
    command.format_usage(ctx, formatter)
    for paragraph in (command.help or "").split("\n\n"):
        formatter.write_paragraph()
        for line in paragraph.splitlines():
            formatter.write_text(line)
    kinds = {"Arguments": "argument", "Options": "option"}
    for title, kind in kinds.items():
        records = [one.get_help_record(ctx) for one in command.get_params(ctx) if one.param_type_name == kind]
        _write_section(formatter, title, [record for record in records if record is not None])
    if isinstance(command, TyperGroup):
        _write_commands(command, ctx, formatter)


def _write_commands(group: Any, ctx: Any, formatter: Any) -> None:
    """Write the commands of a group with what each does, by panel."""
    panels: dict[str, list[tuple[str, str]]] = {}
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if command is not None and not command.hidden:
            title = getattr(command, "rich_help_panel", None)
            row = name, (command.help or "").split("\n\n")[0]
            panels.setdefault(title if isinstance(title, str) else "Commands", []).append(row)
    for title, rows in panels.items():
        _write_section(formatter, title, rows)


def _write_section(formatter: Any, title: str, rows: list[tuple[str, str]]) -> None:
    if rows:
        with formatter.section(title):
            formatter.write_dl(rows, col_max=30 if _width() >= SIDE_BY_SIDE else 0)
