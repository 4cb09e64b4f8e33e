"""``bench systems``: the published systems, read from their cards; nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.completion import completer
from bench.cli.grid import print_grid
from bench.cli.options import Format, Plugins
from bench.cli.output import check_format, print_json, stdout

if TYPE_CHECKING:
    from bench.core.terminal import PlainConsole

LABEL_WIDTH = 18

SystemId = Annotated[
    str, typer.Argument(metavar="ID", help="A system's id.", autocompletion=completer("published_systems"))
]


def register(app: typer.Typer) -> None:
    """Add the group of commands to the application."""
    systems = typer.Typer(
        help="""The published systems, each a model, a method, a front-end and a recipe: list them, show a card.

        Examples:
          bench systems list
          bench systems show patchmix-cl
        """,
        no_args_is_help=True,
    )
    systems.command("list")(list_systems)
    systems.command("show")(show_system)
    app.add_typer(systems, name="systems")


def list_systems(plugin: Plugins = None, output: Format = "table") -> None:
    """List the systems that `bench run --system ID` runs, those of the printed tables first.

    Example: bench systems list --format json
    """
    from bench.api import systems

    check_format(output)
    rows = systems.list_systems(plugin or ())
    if output == "json":
        print_json(rows)
        return
    # Of the columns, what tells one system from another; `show` and JSON have the rest.
    shown = ("id", "run as", "rows", "fidelity", *(("origin",) if any(row["version"] for row in rows) else ()))
    cells = [{**row, "run as": _run_as(row), "rows": "\n".join(row["rows"])} for row in rows]
    print_grid(
        "systems", shown, [[str(row[name] or "–") for name in shown] for row in cells], numbers=(), wrap=("run as",)
    )


def _run_as(row: Mapping[str, Any]) -> str:
    combined = f", {row['combine']}" if row["combine"] else ""
    return f"{row['model']} · {row['method']}{combined}"


def show_system(id: SystemId, plugin: Plugins = None, output: Format = "table") -> None:  # noqa: A002
    """Show a system's card: what it is run as, printed rows, fidelity, gaps, quirks, selection rule, citation.

    Example: bench systems show patchmix-cl
    """
    from bench.api import systems

    check_format(output)
    document = systems.show_system(id, plugin or ())
    if output == "json":
        print_json(document)
    else:
        _print_card(stdout(), document)


def _print_card(console: PlainConsole, document: Mapping[str, Any]) -> None:
    console.print(f"{document['id']} · {document['title']}", style="bold")
    console.print(document["summary"])
    console.print()
    for label, value in _facts(document):
        console.print(f"{label:<{LABEL_WIDTH}}  {value}")
    for title, lines in _sections(document):
        console.print(f"\n{title}", style="bold")
        for line in lines:
            console.print(line)


def _facts(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What is shown in one line each, label and value; what a card does not have is left out."""
    names = ("model", "method", "pretrain", "frontend", "fidelity", "source", "gaps", "weights_licence")
    found = {name.replace("_", " "): document[name] for name in names}
    selection = document["selection"]
    if selection is not None:
        note = f" {selection['note']}" if selection["note"] else ""
        found["published choice"] = f"{selection['published']}: {selection['words']}.{note}"
        found["choice here"] = selection["here"]
    found |= {"origin": document["origin"], "version": document["version"]}
    yield from ((label, value) for label, value in found.items() if value not in (None, ""))


def _sections(document: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    from bench.api.systems import rows_in_words

    if document["rows"]:
        yield "printed rows", rows_in_words(document["rows"])
    if document["composite"]:
        yield (
            f"parts, combined by {document['composite']['combine']}",
            list(_part_lines(document["composite"]["parts"])),
        )
    if document["settings"]:
        yield "settings that make it this system", [_settings_text(document["settings"])]
    if document["recipes"]:
        yield "recipes", [f"{name}: {_settings_text(recipe)}" for name, recipe in document["recipes"].items()]
    if document["quirks"]:
        yield "quirks of the authors' code", [_quirk_text(quirk) for quirk in document["quirks"]]
    if document["citation"]:
        yield "citation", [document["citation"]]


def _part_lines(parts: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, part in parts.items():
        said = {key: value for key, value in part.items() if value not in (None, False, {})}
        settings, recipes = said.pop("settings", {}), said.pop("recipes", {})
        yield f"{name}: {', '.join(f'{key} {value}' for key, value in said.items())}"
        if settings:
            yield f"  {_settings_text(settings)}"
        for profile, recipe in recipes.items():
            yield f"  {profile}: {_settings_text(recipe)}"


def _quirk_text(quirk: Mapping[str, Any]) -> str:
    return f"{quirk['code']} Here: {quirk['here']} {_switch_text(quirk)}"


def _switch_text(quirk: Mapping[str, Any]) -> str:
    if not quirk["switch"]:
        return "There is no switch for it."
    if quirk["on_by_default"]:
        return f"It is the default ({quirk['switch']})."
    return f"--set {quirk['switch']} turns it on."


def _settings_text(settings: Mapping[str, Any]) -> str:
    return " ".join(
        f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in settings.items()
    )
