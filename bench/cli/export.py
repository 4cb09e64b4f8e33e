"""``bench export``: a trained run as a file for other programs, or its model card."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli import options
from bench.cli.completion import completer
from bench.cli.consent import asked_on_terminal
from bench.cli.output import emit, print_written
from bench.core.errors import SpecError
from bench.core.text import counted_noun

logger = logging.getLogger(__name__)

CARD = "card"

ExportedRun = Annotated[
    str,
    typer.Argument(
        metavar="RUN[:RULE]",
        help="A finished run: its id, the beginning of it, or its folder; `3f2a:best-test` for other weights.",
        autocompletion=completer("runs"),
    ),
]
ExportFormat = Annotated[
    str,
    typer.Option("--format", help="torch, onnx, safetensors, or card for the model card alone.", metavar="FORMAT"),
]
ExportFile = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="The file (default: the run's id and rule with the ending of the format; the card is printed).",
        metavar="FILE",
    ),
]
Opset = Annotated[int, typer.Option("--opset", help="Version of ONNX's operators: 18 to 23.", metavar="N")]
FrontEndIncluded = Annotated[
    bool,
    typer.Option(
        "--frontend/--no-frontend",
        help="Have the program take waveforms, where its front-end can be part of it, or pictures.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print what was written as one JSON document.")]


def export(
    run: ExportedRun,
    file_format: ExportFormat,
    out: ExportFile = None,
    opset: Opset = 18,
    frontend: FrontEndIncluded = True,
    as_json: AsJson = False,
    plugin: options.Plugins = None,
    home: options.Home = None,
    cache: options.Cache = None,
) -> None:
    """Write a trained run as a file that other programs load, after comparing it with the run.

    It is tried on units of the run's test recordings (on made-up waveforms where the data are not here), one at a time
    and several at once. Where a probability differs by more than 1e-4 nothing is written. Each file holds what it is
    and the model card.

    Examples:
      bench export 3f2a --format onnx
      bench export 3f2a:best-test --format torch --out model.pt2
      bench export 3f2a --format card --out README.md
    """
    from bench.api.exports import card_of
    from bench.api.exports import export as write_export

    if file_format == CARD:
        if as_json:
            raise SpecError("The card is Markdown, and no JSON document.", "Leave out --json.")
        emit(card_of(run, home, cache), out, "markdown")
        return
    made = write_export(
        run,
        file_format,
        out=out,
        opset=opset,
        frontend=frontend,
        home=home,
        cache=cache,
        plugins=plugin or (),
        allow=asked_on_terminal("json" if as_json else "table"),
    )
    _say(made.document)
    print_written(made.path, made.to_json(), f"wrote {made.path}", "json" if as_json else "table")


def _say(told: Mapping[str, Any]) -> None:
    """Say on stderr what the file takes and how far it differs from the run."""
    parity = told["parity"]
    inputs = ", ".join(f"{name} ({', '.join(map(str, shape))})" for name, shape in told["inputs"].items())
    rate = f" at {told['sample_rate']} Hz" if told["sample_rate"] else ""
    if told["format"] != "safetensors":
        logger.info(f"input: {inputs}{rate}; output: probabilities (batch, {len(told['classes'])})")
        if told["without_frontend"]:
            logger.info(f"the front-end is not part of it: {told['without_frontend']}")
    if told["normalisation"]:
        logger.info(f"normalised: {told['normalisation']}")
    logger.info(
        f"greatest difference of a probability: {parity['greatest_difference']:.2g} over "
        f"{counted_noun(parity['units'], 'unit')} in "
        f"batches of {' and '.join(map(str, parity['batches']))}; {parity['checked_on']}"
    )


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(export)
