"""``bench mock-run``: the first check of a new model or method."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.output import Plugins, check_format, print_json, stdout
from bench.core.errors import RunError, SpecError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.mock.run import CheckOutcome

MODEL, METHOD = "ast", "ce"
STYLES = {"passed": "green", "failed": "bold red", "skipped": "yellow"}


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("mock-run")(mock_run)


def mock_run(
    method: Annotated[str | None, typer.Option(help=f"Method id (default {METHOD}).")] = None,
    model: Annotated[
        str | None, typer.Option(help=f"Model id (default {MODEL}); built as its demo recipe says.")
    ] = None,
    frontend: Annotated[str | None, typer.Option(help="Front-end id (default: the model's own).")] = None,
    plugin: Plugins = None,
    output: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
) -> None:
    """Check a new model or method on tiny simulated data: forward, backward, save, resume, two processes, evaluation.

    It takes about half a minute, uses the CPU and leaves nothing on disk. Exit code 1 when a check failed.

    Examples:
      bench mock-run --plugin my_method.py --method my-method
      bench mock-run --plugin my_model.py --model my-model
    """
    check_format(output)
    if plugin and method is None and model is None and frontend is None:
        raise SpecError("Name what is to be checked: --method ID, --model ID or --frontend ID of the plug-in.")
    from bench.mock.run import mock_run as run_checks

    model, method = model or MODEL, method or METHOD
    outcomes = run_checks(model, method, plugin or (), _print_outcome if output == "table" else None, frontend=frontend)
    passed = all(outcome.status != "failed" for outcome in outcomes)
    if output == "json":
        checks = [dataclasses.asdict(outcome) for outcome in outcomes]
        print_json({"model": model, "method": method, "simulated": True, "passed": passed, "checks": checks})
    else:
        _print_summary(outcomes)
    if not passed:
        raise typer.Exit(RunError.exit_code)


def _print_outcome(outcome: CheckOutcome) -> None:
    from rich.text import Text

    status = Text(f"{outcome.status:<7}", style=STYLES[outcome.status])
    rest = f"  {outcome.check:<10} {outcome.seconds:5.1f} s  {outcome.title}: {outcome.reason}"
    stdout().print(status + Text(rest))


def _print_summary(outcomes: Sequence[CheckOutcome]) -> None:
    counts = (f"{sum(o.status == status for o in outcomes)} {status}" for status in STYLES)
    seconds = sum(outcome.seconds for outcome in outcomes)
    stdout().print(f"{', '.join(counts)} in {seconds:.1f} s")
