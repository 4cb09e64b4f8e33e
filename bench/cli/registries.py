"""``bench models`` and ``bench methods``: what there is, read from the cards; nothing heavy is imported."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from bench.cards import MethodCard, ModelCard
from bench.cli.output import check_format, print_json, stdout
from bench.registry import Registry

Format = Annotated[str, typer.Option("--format", help="table or json.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="An id from the list.")]


def register(app: typer.Typer) -> None:
    """Add the two groups of commands to the application."""
    models = typer.Typer(help="The models: list them, show a card.", no_args_is_help=True)
    methods = typer.Typer(help="The training methods: list them, show a card.", no_args_is_help=True)
    models.command("list")(list_models)
    models.command("show")(show_model)
    methods.command("list")(list_methods)
    methods.command("show")(show_method)
    app.add_typer(models, name="models")
    app.add_typer(methods, name="methods")


def list_models(output: Format = "table") -> None:
    """List the models.

    Example: bench models list --format json
    """
    from baselines import MODELS

    _list(MODELS, output, ("id", "title", "parameters", "frontend", "fidelity"))


def show_model(id: Id, output: Format = "table") -> None:  # noqa: A002
    """Show a model's card: source, parameters, options, weights with licence, recipes, citation.

    Example: bench models show ast
    """
    from baselines import MODELS

    _show(MODELS.card(id), output)


def list_methods(output: Format = "table") -> None:
    """List the training methods.

    Example: bench methods list
    """
    from methods import METHODS

    _list(METHODS, output, ("id", "title", "formula", "fidelity"))


def show_method(id: Id, output: Format = "table") -> None:  # noqa: A002
    """Show a method's card: source, formula, options, recipes, citation.

    Example: bench methods show patchmix-cl
    """
    from methods import METHODS

    _show(METHODS.card(id), output)


def describe(card: ModelCard | MethodCard) -> dict[str, Any]:
    """A card as plain data; its options with defaults and docs."""
    document = {field.name: getattr(card, field.name) for field in dataclasses.fields(card)}
    document["options"] = {
        field.name: {"default": field.default, "help": field.metadata.get("doc", "")}
        for field in dataclasses.fields(card.options)
    }
    if isinstance(card, ModelCard):
        document["weights"] = {name: dataclasses.asdict(weights) for name, weights in card.weights.items()}
    document["recipes"] = {profile: dict(recipe) for profile, recipe in card.recipes.items()}
    return document


def _list(registry: Registry[Any], output: str, columns: tuple[str, ...]) -> None:
    check_format(output)
    rows = [{name: getattr(entry.card, name) for name in columns} for entry in registry]
    if output == "json":
        print_json(rows)
        return
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    for name in columns:
        table.add_column(name, justify="right" if name == "parameters" else "left", no_wrap=name == "id")
    for row in rows:
        cells = (f"{value:,}" if isinstance(value, int) else str(value) for value in row.values())
        table.add_row(*(escape(cell) for cell in cells))
    stdout().print(table)


def _show(card: ModelCard | MethodCard, output: str) -> None:
    check_format(output)
    document = describe(card)
    if output == "json":
        print_json(document)
        return
    console = stdout()
    for name, value in document.items():
        if isinstance(value, dict):
            console.print(f"{name}:", markup=False, highlight=False)
            for key, item in value.items():
                console.print(f"  {key}: {_line(item)}", markup=False, highlight=False)
        else:
            console.print(f"{name}: {value}", markup=False, highlight=False)


def _line(item: Any) -> str:
    if isinstance(item, dict) and set(item) == {"default", "help"}:
        return f"{item['default']}  ({item['help']})"
    if isinstance(item, dict):
        return ", ".join(f"{key}={value}" for key, value in item.items())
    return str(item)
