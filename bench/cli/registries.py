"""``bench models`` and ``bench methods``: what there is, read from the cards; nothing heavy is imported."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from bench.cli.measure import bench_models
from bench.cli.output import Plugins, check_format, print_json, stdout

if TYPE_CHECKING:
    from rich.table import Table

    from bench.core.cards import WeightsCard
    from bench.core.registry import Registry, RegistryEntry
    from bench.core.terminal import PlainConsole

logger = logging.getLogger(__name__)

Format = Annotated[str, typer.Option("--format", help="table or json.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="An id from the list.")]

LABEL_WIDTH = 16
FACTS = (
    "formula parameters frontend patches needs_patches views default_pretrain source fidelity gaps origin version"
).split()
"""What is shown in one line each, in this order; which of them a card has depends on its kind."""


def register(app: typer.Typer) -> None:
    """Add the two groups of commands to the application."""
    models = typer.Typer(help="The models: list them, show a card, measure them.", no_args_is_help=True)
    methods = typer.Typer(help="The training methods: list them, show a card.", no_args_is_help=True)
    models.command("list")(list_models)
    models.command("show")(show_model)
    models.command("bench")(bench_models)
    methods.command("list")(list_methods)
    methods.command("show")(show_method)
    app.add_typer(models, name="models")
    app.add_typer(methods, name="methods")


def list_models(plugin: Plugins = None, output: Format = "table") -> None:
    """List the models.

    Example: bench models list --format json
    """
    _list("model", plugin, output, ("id", "title", "parameters", "frontend", "fidelity"))


def show_model(id: Id, plugin: Plugins = None, output: Format = "table") -> None:  # noqa: A002
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


def show_method(id: Id, plugin: Plugins = None, output: Format = "table") -> None:  # noqa: A002
    """Show a method's card: formula, options, recipes, source, citation.

    Example: bench methods show patchmix-cl
    """
    _show("method", id, plugin, output)


def describe(entry: RegistryEntry[Any]) -> dict[str, Any]:
    """An entry as plain data: its card, its options with defaults, limits and docs, and where it comes from."""
    card = entry.card
    document = {field.name: getattr(card, field.name) for field in dataclasses.fields(card)}
    hints = get_type_hints(card.options)
    document["options"] = {
        field.name: _describe_option(field, hints[field.name]) for field in dataclasses.fields(card.options)
    }
    if "weights" in document:
        document["weights"] = {name: _describe_weights(weights) for name, weights in card.weights.items()}
    document["recipes"] = {profile: dict(recipe) for profile, recipe in card.recipes.items()}
    return {**document, "origin": entry.origin, "version": entry.version}


def _describe_weights(weights: WeightsCard) -> dict[str, str]:
    """Weights as plain data; a hash that nobody published is recorded at the first download."""
    document = dataclasses.asdict(weights)
    md5, sha256 = document.pop("md5"), document.pop("sha256")
    known = f"SHA-256 {sha256}" if sha256 else f"MD5 {md5}" if md5 else None
    return {**document, "hash": known or "recorded at the first download, compared at every other"}


def _describe_option(field: dataclasses.Field[Any], kind: type) -> dict[str, Any]:
    least = field.metadata.get("run_low")
    limits = {"low": field.metadata.get("low") if least is None else least, "high": field.metadata.get("high")}
    choices = field.metadata.get("choices")
    return {
        "type": kind.__name__,
        "default": field.default,
        **limits,
        "choices": list(choices) if choices else None,
        "space": dataclasses.asdict(space) if (space := field.metadata.get("space")) else None,
        "help": field.metadata.get("doc", ""),
    }


def _open(kind: str, plugins: Any) -> Registry[Any]:
    """A registry with the plug-ins of the command line; a broken package is named on stderr."""
    from bench.experiment.plugins import load_plugins, registries

    load_plugins(plugins or ())
    registry = registries()[kind]
    for problem in registry.problems():
        logger.warning(f"not usable: {problem.reason}")
    return registry


def _list(kind: str, plugins: Any, output: str, columns: tuple[str, ...]) -> None:
    check_format(output)
    registry = _open(kind, plugins)
    entries = list(registry)
    rows = [
        {**{name: getattr(entry.card, name) for name in columns}, "origin": entry.origin, "version": entry.version}
        for entry in entries
    ]
    if output == "json":
        print_json(rows)
        return
    from rich.table import Table

    # Where everything is built in, its modules are no news.
    shown = (*columns, "origin") if any(entry.version for entry in entries) else columns
    table = Table()
    for name in shown:
        table.add_column(name, justify="right" if name == "parameters" else "left", no_wrap=name == "id")
    for row in rows:
        table.add_row(*(_cell(_fact(name, row[name])) for name in shown))
    stdout().print(table)
    for family in registry.families:
        logger.info(f"{family.prefix}:NAME  {family.doc}")


def _show(kind: str, name: str, plugins: Any, output: str) -> None:
    check_format(output)
    document = describe(_open(kind, plugins).get(name))
    if output == "json":
        print_json(document)
        return
    _print_card(stdout(), document)


def _print_card(console: PlainConsole, document: Mapping[str, Any]) -> None:
    console.print(f"{document['id']} · {document['title']}", style="bold")
    console.print(document["summary"])
    console.print()
    for name in FACTS:
        if document.get(name) not in (None, ""):
            label = name.replace("_", " ")
            console.print(f"{label:<{LABEL_WIDTH}}  {_plain(_fact(name, document[name]))}")
    _section(console, "options (--set NAME=VALUE)", _option_table(document["options"]))
    _section(console, "search space (bench search --param NAME)", _space_table(document["options"]))
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
        table.add_column(name, no_wrap=name in ("option", "default", "recipe"))
    return table


def _option_table(options: Mapping[str, Any]) -> Table:
    table = _table("option", "default", "values", "help")
    for name, option in options.items():
        table.add_row(name, _cell(option["default"]), _cell(_allowed(option)), _cell(option["help"]))
    return table


def _allowed(option: Mapping[str, Any]) -> str:
    """The values that an option may have: ``one of a, b``, ``int, 1 or more``, ``float, 0 to 1``."""
    low, high = option["low"], option["high"]
    if option["choices"]:
        return f"one of {', '.join(option['choices'])}"
    if low is not None and high is not None:
        return f"{option['type']}, {low:g} to {high:g}"
    if low is not None:
        return f"{option['type']}, {low:g} or more"
    return str(option["type"]) if high is None else f"{option['type']}, {high:g} or less"


def _space_table(options: Mapping[str, Any]) -> Table:
    """Where a search looks: words and switches have all their choices, numbers what is declared."""
    table = _table("option", "space", "grid")
    for name, option in options.items():
        space = option["space"]
        if space is not None:
            ends = (
                "" if space["low"] is None else f"{space['low']:g}..{space['high']:g}{':log' if space['log'] else ''}"
            )
            table.add_row(name, ends, ", ".join(f"{value:g}" for value in space["grid"]))
        elif option["choices"] or option["type"] == "bool":
            table.add_row(name, ", ".join(option["choices"] or ("true", "false")), "")
    return table


def _recipe_table(recipes: Mapping[str, Mapping[str, Any]]) -> Table:
    table = _table("recipe", "settings")
    for name, recipe in recipes.items():
        table.add_row(name, _cell(" ".join(f"{key}={_plain(value)}" for key, value in recipe.items())))
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


def _plain(value: Any) -> str:
    """A value as ``--set`` takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cell(value: Any) -> str:
    return "–" if value is None else _plain(value)
