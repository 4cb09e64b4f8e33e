"""``bench models`` and ``bench methods``: what there is, read from the cards; nothing heavy is imported."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from bench.cards import MethodCard, ModelCard, WeightsCard
from bench.cli.measure import bench_models
from bench.cli.output import check_format, notice, print_json, stdout
from bench.registry import Registry

Format = Annotated[str, typer.Option("--format", help="table or json.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="An id from the list.")]


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


def list_models(output: Format = "table") -> None:
    """List the models.

    Example: bench models list --format json
    """
    from baselines import MODELS

    _list(MODELS, output, ("id", "title", "parameters", "frontend", "fidelity"))


def show_model(id: Id, output: Format = "table") -> None:  # noqa: A002
    """Show a model's card: source, parameters, options, weights with licence, recipes, gaps, citation.

    Example: bench models show ast
    Example: bench models show timm:convnext_tiny
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
        document["weights"] = {name: _describe_weights(weights) for name, weights in card.weights.items()}
    document["recipes"] = {profile: dict(recipe) for profile, recipe in card.recipes.items()}
    return document


def _describe_weights(weights: WeightsCard) -> dict[str, str]:
    """Weights as plain data; a hash that nobody published is recorded at the first download."""
    document = dataclasses.asdict(weights)
    md5, sha256 = document.pop("md5"), document.pop("sha256")
    known = f"SHA-256 {sha256}" if sha256 else f"MD5 {md5}" if md5 else None
    return {**document, "hash": known or "recorded at the first download, compared at every other"}


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
    for family in registry.families:
        notice(f"{family.prefix}:NAME  {family.doc}")


def _show(card: ModelCard | MethodCard, output: str) -> None:
    check_format(output)
    document = describe(card)
    if output == "json":
        print_json(document)
        return
    for line in _lines(document):
        stdout().print(line, markup=False, highlight=False)


def _lines(document: dict[str, Any], indent: str = "") -> Iterator[str]:
    for name, value in document.items():
        if isinstance(value, dict) and set(value) == {"default", "help"}:
            yield f"{indent}{name}: {value['default']}  ({value['help']})"
        elif isinstance(value, dict) and not value:
            yield f"{indent}{name}: none"
        elif isinstance(value, dict):
            yield f"{indent}{name}:"
            yield from _lines(value, indent + "  ")
        else:
            yield f"{indent}{name}: {value}"
