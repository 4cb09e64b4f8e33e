"""``bench mock-run``: the first check of a new model or method."""

from __future__ import annotations

import logging
import shlex
from typing import TYPE_CHECKING

import typer

from bench.cli.options import Format, FrontEnd, Method, MockDataset, Model, Plugins, Task
from bench.cli.output import check_format, print_json, stdout
from bench.core.errors import RunError, SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bench.api.mock_runs import CheckOutcome


logger = logging.getLogger(__name__)

STYLES = {"passed": "green", "failed": "bold red", "skipped": "yellow"}


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("mock-run")(mock_run)


def mock_run(
    method: Method = None,
    model: Model = None,
    frontend: FrontEnd = None,
    dataset: MockDataset = None,
    task: Task = None,
    plugin: Plugins = None,
    output: Format = "table",
) -> None:
    """Check a new model or method on tiny simulated data: forward, backward, save, resume, two processes, evaluation.

    What is not named is the model ast and the method ce, and a model is built as its demo recipe says. It takes about
    half a minute, uses the CPU and leaves nothing on disk. Exit code 1 when a check failed.

    With --dataset or --task the tiny data have the classes and tested parts of that task; its files are not needed.

    Examples:
      bench mock-run --plugin my_method.py --method my-method
      bench mock-run --plugin my_model.py --model my-model
      bench mock-run --model cnn6 --dataset sprsound --task event-7
    """
    check_format(output)
    if plugin and all(named is None for named in (method, model, frontend, dataset)):
        raise SpecError(
            "Name what is to be checked: --method ID, --model ID, --frontend ID or --dataset ID of the plug-in."
        )
    from bench.api.mock_runs import METHOD, MODEL
    from bench.api.mock_runs import mock_run as run_checks

    done = run_checks(
        model or MODEL,
        method or METHOD,
        frontend=frontend,
        dataset=dataset,
        task=task,
        plugins=plugin or (),
        on_outcome=_print_outcome if output == "table" else None,
    )
    if output == "json":
        print_json(done.to_json())
    else:
        _print_summary(done.checks)
    if not done.passed:
        raise typer.Exit(RunError.exit_code)
    if plugin and dataset is None and task is None:
        _say_how_to_train(plugin, {"--model": model or MODEL, "--method": method or METHOD, "--frontend": frontend})


def _say_how_to_train(plugins: Sequence[Path], named: Mapping[str, str | None]) -> None:
    files = [f"--plugin {shlex.quote(str(file))}" for file in plugins]
    words = [f"{option} {shlex.quote(name)}" for option, name in named.items() if name is not None]
    logger.info(f"To train with it: bench run {' '.join(files + words)} --data demo")


def _print_outcome(outcome: CheckOutcome) -> None:
    from rich.text import Text

    status = Text(f"{outcome.status:<7}", style=STYLES[outcome.status])
    rest = f"  {outcome.check:<10} {outcome.seconds:5.1f} s  {outcome.title}: {outcome.reason}"
    stdout().print(status + Text(rest))


def _print_summary(outcomes: Sequence[CheckOutcome]) -> None:
    counts = (f"{sum(o.status == status for o in outcomes)} {status}" for status in STYLES)
    seconds = sum(outcome.seconds for outcome in outcomes)
    stdout().print(f"{', '.join(counts)} in {seconds:.1f} s")
