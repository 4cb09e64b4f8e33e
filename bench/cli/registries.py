"""``bench models``, ``methods`` and ``frontends``: what there is, read from the cards; nothing heavy is imported."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bench.cli.grid import print_grid
from bench.cli.measure import bench_models
from bench.cli.options import Format, MethodId, ModelId, Plugins, ShownFrontEnd
from bench.cli.output import check_format, print_json, stdout
from bench.core.text import setting_text

if TYPE_CHECKING:
    from rich.table import Table

    from bench.api.registries import Kind
    from bench.core.terminal import PlainConsole

logger = logging.getLogger(__name__)

LABEL_WIDTH = 16
WRAPPED = ("title", "formula", "summary", "origin")
"""Columns of the lists whose cells are sentences."""

FACTS = (
    *("formula", "parameters", "frontend", "patches", "needs_patches", "views", "default_pretrain", "source"),
    *("fidelity", "gaps", "feature_version", "origin", "version"),
)
"""What is shown in one line each, in this order; which of them a card has depends on its kind."""


def register(app: typer.Typer) -> None:
    """Add the groups of commands to the application."""
    models = typer.Typer(
        help="""The models: list them, show a card, measure them.

        Examples:
          bench models list
          bench models show ast
          bench models bench resnet18 cnn6
        """,
        no_args_is_help=True,
    )
    methods = typer.Typer(
        help="""The training methods: list them, show a card.

        Examples:
          bench methods list
          bench methods show patchmix-cl
        """,
        no_args_is_help=True,
    )
    models.command("list")(list_models)
    models.command("show")(show_model)
    models.command("bench")(bench_models)
    methods.command("list")(list_methods)
    methods.command("show")(show_method)
    frontends = typer.Typer(
        help="""The front-ends: list them, show a card.

        Examples:
          bench frontends list
          bench frontends show ast
        """,
        no_args_is_help=True,
    )
    frontends.command("list")(list_frontends)
    frontends.command("show")(show_frontend)
    app.add_typer(models, name="models")
    app.add_typer(methods, name="methods")
    app.add_typer(frontends, name="frontends")


def list_models(plugin: Plugins = None, output: Format = "table") -> None:
    """List the models.

    Example: bench models list --format json
    """
    _list("model", plugin, output, ("id", "title", "parameters", "frontend", "fidelity"))


def show_model(id: ModelId, plugin: Plugins = None, output: Format = "table") -> None:  # noqa: A002
    """Show a model's card: architecture, parameters, options, recipes, weights with licence, citation.

    Example: bench models show ast
    Example: bench models show timm:convnext_tiny
    """
    _show("model", id, plugin, output)


def list_methods(plugin: Plugins = None, output: Format = "table") -> None:
    """List the training methods.

    Example: bench methods list --plugin my_method.py
    """
    _list("method", plugin, output, ("id", "title", "formula", "fidelity"))


def show_method(id: MethodId, plugin: Plugins = None, output: Format = "table") -> None:  # noqa: A002
    """Show a method's card: formula, options, recipes, source, citation.

    Example: bench methods show patchmix-cl
    """
    _show("method", id, plugin, output)


def list_frontends(plugin: Plugins = None, output: Format = "table") -> None:
    """List the front-ends, which make pictures of cycles.

    Example: bench frontends list
    """
    _list("frontend", plugin, output, ("id", "title", "summary", "fidelity"))


def show_frontend(id: ShownFrontEnd, plugin: Plugins = None, output: Format = "table") -> None:  # noqa: A002
    """Show a front-end's card: options, source, citation.

    Example: bench frontends show ast
    """
    _show("frontend", id, plugin, output)


def _list(kind: Kind, plugins: Sequence[Path] | None, output: str, columns: tuple[str, ...]) -> None:
    from bench.api.registries import list_entries

    check_format(output)
    listing = list_entries(kind, columns, plugins or ())
    if output == "json":
        print_json(listing.rows)
        return
    # Where everything is built in, its modules are no news.
    shown = (*columns, "origin") if any(row["version"] for row in listing.rows) else columns
    cells = [[_cell(_fact(name, row[name])) for name in shown] for row in listing.rows]
    print_grid(f"{kind}s", shown, cells, numbers=("parameters",), wrap=WRAPPED)
    for prefix, doc in listing.families:
        logger.info(f"{prefix}:NAME  {doc}")


def _show(kind: Kind, name: str, plugins: Sequence[Path] | None, output: str) -> None:
    from bench.api.registries import show_entry

    check_format(output)
    document = show_entry(kind, name, plugins or ())
    if output == "json":
        print_json(document)
    else:
        _print_card(stdout(), document)


def _print_card(console: PlainConsole, document: Mapping[str, Any]) -> None:
    console.print(f"{document['id']} · {document['title']}", style="bold")
    console.print(document["summary"])
    console.print()
    for name in FACTS:
        if document.get(name) not in (None, ""):
            label = name.replace("_", " ")
            console.print(f"{label:<{LABEL_WIDTH}}  {setting_text(_fact(name, document[name]))}")
    _section(console, "options (--set NAME=VALUE)", _option_table(document["options"]))
    _section(console, "search space (bench search --param NAME)", _space_table(document["options"]))
    if "recipes" in document:
        _section(console, "recipes", _recipe_table(document["recipes"]))
    if "weights" in document:
        _print_weights(console, document["weights"])
    if document["citation"]:
        console.print("\ncitation", style="bold")
        console.print(document["citation"])


def _section(console: PlainConsole, title: str, table: Table) -> None:
    console.print(f"\n{title}", style="bold")
    console.print(table if table.row_count else "none")


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name, no_wrap=name in ("option", "recipe"), overflow="fold")
    return table


def _option_table(options: Mapping[str, Any]) -> Table:
    from bench.api.registries import allowed_values

    table = _table("option", "default", "values", "help")
    for name, option in options.items():
        table.add_row(name, _cell(option["default"]), _cell(allowed_values(option)), _cell(option["help"]))
    return table


def _space_table(options: Mapping[str, Any]) -> Table:
    """Where a search looks: words and switches have all their choices, numbers what is declared."""
    from bench.api.registries import range_of_search, values_of_grid

    table = _table("option", "space", "grid")
    for name, option in options.items():
        space = option["space"]
        if space is not None:
            table.add_row(name, range_of_search(space), values_of_grid(space))
        elif option["choices"] or option["type"] == "bool":
            table.add_row(name, ", ".join(option["choices"] or ("true", "false")), "")
    return table


def _recipe_table(recipes: Mapping[str, Mapping[str, Any]]) -> Table:
    table = _table("recipe", "settings")
    for name, recipe in recipes.items():
        table.add_row(name, _cell(" ".join(f"{key}={setting_text(value)}" for key, value in recipe.items())))
    return table


def _print_weights(console: PlainConsole, weights: Mapping[str, Mapping[str, Any]]) -> None:
    """Each entry with a line for every field: hashes and locations are too long for a table."""
    console.print("\nweights (--pretrain NAME)", style="bold")
    for name, card in weights.items():
        console.print(f"  {name}:")
        for field, value in card.items():
            console.print(f"    {field}: {value}")
    if not weights:
        console.print("none")


def _fact(name: str, value: Any) -> Any:
    return f"{value:,}" if name == "parameters" and value is not None else value


def _cell(value: Any) -> str:
    return "–" if value is None else setting_text(value)
