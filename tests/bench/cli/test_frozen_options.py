"""The options of every command, against a file that a review reads; and what keeps commands thin."""

import ast
import difflib
from pathlib import Path
from typing import Annotated

import pytest
import typer
from cli_contract import FILE, OF_TYPER, commands_of, contract

from bench.cli import app

ROOT = Path(__file__).resolve().parents[3]
MODULES = sorted((ROOT / "bench" / "cli").glob("*.py"))
LONGEST_FUNCTION = 60
WRITE_ANEW = "If the change is meant, write the file anew: PYTHONPATH=. python tests/support/cli_contract.py"


def test_the_options_of_every_command_are_those_of_the_file():
    now, known = contract(app), FILE.read_text(encoding="utf-8")
    changes = difflib.unified_diff(known.splitlines(), now.splitlines(), FILE.name, "the commands", lineterm="", n=0)
    assert now == known, "\n".join([*changes, WRITE_ANEW])


def small_app(words="How many."):
    """An application of two commands."""
    made = typer.Typer()

    @made.command("first")
    def first(
        count: Annotated[int, typer.Option("--count", help=words, min=1)] = 1,
        word: Annotated[list[str] | None, typer.Option("--word")] = None,
    ) -> None:
        """Do something."""

    @made.command("second")
    def second(name: str, quick: bool = False) -> None:
        """Do something else."""

    return made


def test_every_command_and_option_stands_in_the_contract():
    lines = contract(small_app()).splitlines()
    first, second = lines.index("bench first"), lines.index("bench second")
    assert lines[first + 1] == "  --count (integer from 1, once, default 1): How many."
    assert lines[first + 2].startswith("  --word (text, repeated, default ")
    assert lines[second + 1 :] == [
        "  NAME (text, once, required): ",
        "  --quick / --no-quick (switch, given or not, default false): ",
    ]


def test_a_changed_help_changes_the_contract():
    assert contract(small_app()) != contract(small_app("How often."))


def test_the_file_holds_the_whole_command_line():
    paths = [path for path, _ in commands_of("bench", typer.main.get_command(app))]
    lines = FILE.read_text(encoding="utf-8").splitlines()
    assert len(paths) > 40
    assert [line for line in lines if line.startswith("bench")] == paths


def test_options_of_typer_are_there_and_not_frozen():
    names = [parameter.name for parameter in typer.main.get_command(app).params]
    assert set(OF_TYPER) <= set(names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_function_of_a_command_is_long(path):
    found = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno + 1 > LONGEST_FUNCTION
    ]
    assert not found, ", ".join(found)


def forms(option):
    """How an option is declared in all commands that have it."""
    return {
        (tuple(parameter.opts), parameter.metavar, parameter.help)
        for _, command in commands_of("bench", typer.main.get_command(app))
        for parameter in command.params
        if option in parameter.opts
    }


@pytest.mark.parametrize("option", ["--home", "--cache", "--plugin", "--storage"])
def test_an_option_of_several_commands_is_declared_once(option):
    assert len(forms(option)) == 1, forms(option)
