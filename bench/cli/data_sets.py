"""``bench data list`` and ``bench data show``: which data sets there are, and what can be judged on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import typer

from bench.cli.data_report import print_lines
from bench.cli.grid import print_grid
from bench.cli.options import DatasetId, Format, Plugins
from bench.cli.output import check_format, print_json

LABEL_WIDTH = 16
COLUMNS = ("id", "title", "tasks", "recordings", "licence", "files")
WRAPPED = ("title", "tasks", "licence", "files", "origin")
"""Columns of the list whose cells are sentences."""

FACTS = (
    "owner",
    "licence",
    "source",
    "url",
    "obtain",
    "recordings",
    "patients",
    "grouping",
    "devices",
    "sites",
    "rates",
)
"""Fields of a card that are shown in one line each, where they say something."""

LABELS = {"rates": "rates, Hz", "grouping": "intervals by"}

LAWS = {"mean": "mean of Se and Sp", "challenge": "mean of AS = (Se + Sp) / 2 and HS = 2 Se Sp / (Se + Sp)"}


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    app.command("list")(list_sets)
    app.command("show")(show_set)


def list_sets(plugin: Plugins = None, output: Format = "table") -> None:
    """List the data sets, with their tasks, and whether their files are found here.

    Example: bench data list --format json
    """
    from bench.api.dataset_cards import list_datasets

    check_format(output)
    rows = list_datasets(plugin or ())
    if output == "json":
        print_json(rows)
        return
    # Where everything is built in, its modules are no news.
    shown = (*COLUMNS, "origin") if any(row["version"] for row in rows) else COLUMNS
    cells = [
        {**row, "tasks": ", ".join(row["tasks"]), "recordings": _number(row["recordings"]), "files": _found(row)}
        for row in rows
    ]
    print_grid(
        "data sets", shown, [[row[name] for name in shown] for row in cells], numbers=("recordings",), wrap=WRAPPED
    )


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _found(row: Mapping[str, Any]) -> str:
    if row["folder"] is None:
        return "made on the spot"
    return f"in {row['folder']}" if row["found"] else f"not in {row['folder']}"


def show_set(id: DatasetId, plugin: Plugins = None, output: Format = "table") -> None:  # noqa: A002
    """Show a data set's card: owner, licence, how to obtain it, its tasks with classes, parts and counts, citation.

    Examples:
      bench data show sprsound
      bench data show mine --plugin my_data.py
    """
    from bench.api.dataset_cards import show_dataset

    check_format(output)
    document = show_dataset(id, plugin or ())
    if output == "json":
        print_json(document)
    else:
        print_lines(_card_lines(document))


def _card_lines(card: Mapping[str, Any]) -> Iterator[str]:
    yield f"{card['id']} · {card['title']}"
    yield from (card["summary"], "")
    for name in FACTS:
        if card[name] not in (None, "", []):
            yield _line(LABELS.get(name, name), card[name])
    yield _line("files", _place(card))
    yield _line("origin", " ".join(filter(None, (card["origin"], card["version"]))))
    for task in card["tasks"]:
        yield ""
        yield from _task_lines(task)
    if card["facts"]:
        yield from ("", "facts")
        yield from (f"  {line}" for line in _fact_lines(card["facts"]))
    yield from _recipe_lines(card)
    if card["citation"]:
        yield from ("", "citation", card["citation"])


def _line(name: str, value: Any) -> str:
    return f"{name:<{LABEL_WIDTH}}  {_words(value)}"


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def _place(card: Mapping[str, Any]) -> str:
    variable = f"; {card['environment']} or --data names another folder" if card["environment"] else ""
    able = [word for word in ("fetch", "verify") if card["can"][word]]
    commands = "".join(f"; bench data {word} --dataset {card['id']}" for word in able)
    return f"{_found(card)}{variable}{commands}"


def _task_lines(task: Mapping[str, Any]) -> Iterator[str]:
    yield f"task {task['id']}: {task['title']}; a label for each {task['unit']}"
    for shared in dict.fromkeys(task["shared"]):
        names = (name for name, word in zip(task["classes"], task["shared"], strict=True) if word == shared)
        yield f"  {shared or 'neither'}: {', '.join(names)}"
    for part in task["parts"]:
        seen = ", patients seen in training" if part["patients_seen"] else ""
        yield f"  part {part['id']}: {part['title']}{seen}"
    for part, counts in task["counts"].items():
        yield f"  {part}: {sum(counts):,} ({'/'.join(map(str, counts))})"
    yield f"  Score: {LAWS[task['score']]}; ranked by {task['ranking']}"


def _fact_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield f"{name}: {', '.join(f'{key} {_words(number)}' for key, number in value.items())}"
        else:
            yield f"{name}: {_words(value)}"


def _recipe_lines(card: Mapping[str, Any]) -> Iterator[str]:
    owners: Sequence[tuple[str, Mapping[str, Any]]] = [("", card), *((f" {t['id']}", t) for t in card["tasks"])]
    lines = [
        f"  {profile}{name}: {' '.join(f'{key}={value}' for key, value in recipe.items())}"
        for name, owner in owners
        for profile, recipe in owner["recipes"].items()
    ]
    if lines or card["recipe_note"]:
        yield from ("", "recipes (what it changes in those of model and method)", *lines)
        if card["recipe_note"]:
            yield f"  {card['recipe_note']}"
