"""The commands of ``bench --help`` in panels, in the order in which a newcomer needs them."""

from __future__ import annotations

from typing import Any

import typer

from bench.cli.help_layout import HelpedGroup

PANELS = {
    "Train and try": ("run", "reproduce", "search", "matrix", "watch", "evaluate", "ensemble", "predict"),
    "Results and how sure they are": ("report", "board", "audit", "export", "push"),
    "What there is to choose from": ("data", "models", "methods", "frontends", "systems", "settings"),
    "This machine, and code of your own": ("doctor", "mock-run"),
}
"""Titles of the panels, each with its commands."""

_ORDER = {
    name: (place, title)
    for place, (title, name) in enumerate((title, name) for title, names in PANELS.items() for name in names)
}
"""The place and the panel of each command."""


class PanelledGroup(HelpedGroup):
    """A group whose commands stand in the order of :data:`PANELS`; what is not named there comes last."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the commands, in this order."""
        return sorted(super().list_commands(ctx), key=lambda name: _ORDER.get(name, (len(_ORDER), ""))[0])


def group_in_panels(app: typer.Typer) -> None:
    """Put every command of an application into its panel.

    Args:
        app: The application with its groups, before a command line is parsed.
    """
    for group in app.registered_groups:
        group.rich_help_panel = _panel(group.name or "")
    for command in app.registered_commands:
        callback = command.callback.__name__ if command.callback else ""
        command.rich_help_panel = _panel(command.name or callback.replace("_", "-"))


def _panel(name: str) -> str | None:
    """The panel of a command; None for Typer's own, where what is named nowhere stands."""
    return _ORDER[name][1] if name in _ORDER else None
