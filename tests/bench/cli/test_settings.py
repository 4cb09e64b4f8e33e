"""``bench settings``, and the messages that name it."""

from __future__ import annotations

import json

from bench.cli.help_text import flowing_help


def test_a_part_as_json(bench):
    rows = json.loads(bench("settings", "sampling", "--format", "json").out)
    assert [row["name"] for row in rows] == ["batch", "drop_last", "sampler", "train_device"]


def test_values_of_recipes(bench):
    text = bench("settings", "optim", "--model", "cnn6", "--method", "ce", "--profile", "demo").out
    assert "the demo recipes of cnn6 and ce, pretrained weights: none" in text


def test_an_unknown_setting_is_told_where_settings_are_listed(bench, small_data):
    words = ("run", "--model", "cnn6", "--method", "ce", "--data", small_data, "--set", "head_rate=10", "--dry-run")
    done = bench(*words, code=2)
    assert "hint: `bench settings --model cnn6 --method ce` lists them all" in done.err


def test_help_fills_its_lines():
    import typer

    app = typer.Typer()

    @app.command()
    def shown() -> None:
        """Show it.

        A sentence that goes on
        in a second line.

        Example: bench one
        Example: bench two
        Examples:
          bench three
        """

    flowing_help(app)
    assert app.registered_commands[0].help == (
        "Show it.\n\nA sentence that goes on in a second line.\n\n"
        "Example: bench one\nExample: bench two\nExamples:\n  bench three"
    )
