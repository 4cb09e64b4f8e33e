"""The ``bench`` command: parses, calls one function, turns errors into one sentence and an exit code.

Heavy imports (torch, sqlalchemy) stay inside the commands, so that ``bench --help`` answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, cast

import typer

from bench.api.calls import prepared_process
from bench.cli import (
    audit,
    board,
    data,
    doctor,
    ensemble,
    evaluate,
    export,
    job,
    matrix,
    mock_run,
    predict,
    push,
    registries,
    report,
    reproduce,
    run,
    search,
    settings,
    systems,
    watch,
)
from bench.cli.completion import VARIABLE, print_completions
from bench.cli.help_layout import fitting_help
from bench.cli.help_text import flowing_help
from bench.cli.output import print_text, show_error, show_internal_error, stderr
from bench.cli.panels import PanelledGroup, group_in_panels
from bench.cli.values import read_values_as_elsewhere
from bench.core.errors import BenchError, SpecError
from bench.core.files import temporary_place
from bench.core.garbage import rarely_look_for_garbage
from bench.core.log import show_log
from bench.core.messages import message_text, shortened
from bench.core.paths import check_current_folder
from bench.core.streams import prepare_streams, print_traceback
from bench.core.version import __version__

rarely_look_for_garbage()

LONGEST_USAGE = 300
"""Characters of a sentence on wrong usage, which repeats a word of the user."""

ANYWHERE = frozenset({"--debug", "-v", "--verbose", "-q", "--quiet", "-vv", "-qq"})
"""Options of the program itself, which no command has for its own."""

IN_GROUPS = frozenset({"run", "job"})
"""Commands that several processes of another launcher are given at once."""

TITLE = "Benchmark and leaderboard of respiratory sound classification (ICBHI 2017)."

FIRST_STEPS = """
Begin with `bench run --model ast --method patchmix-cl`: where there are no data it trains a small model on simulated
ones, in some minutes, and says what to do next. `bench data list` names the data sets, `bench doctor` says what this
machine has, `bench COMMAND --help` what a command does, with examples.
"""

EXAMPLES = """
Examples:
  bench data fetch
  bench run --system patchmix-cl --seeds 1-5
  bench report leaderboard
"""

app = typer.Typer(
    name="bench",
    cls=PanelledGroup,
    help=f"{TITLE}\n\n{' '.join(FIRST_STEPS.split())}\n{EXAMPLES}",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print_text(f"lungbench {__version__}")
        raise typer.Exit


@app.callback()
def common(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
    verbose: int = typer.Option(
        0, "-v", "--verbose", count=True, show_default=False, help="Say more; as BENCH_LOG=debug."
    ),
    quiet: int = typer.Option(
        0, "-q", "--quiet", count=True, show_default=False, help="Say less: warnings; given twice, errors."
    ),
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """Options that come before the command, or anywhere after it."""
    show_log(verbose - quiet)


for module in (
    *(run, settings, ensemble, evaluate, predict, export, push, search, reproduce, matrix, watch, report, board),
    audit,
    *(data, registries, systems, mock_run, doctor, job),
):
    module.register(app)
read_values_as_elsewhere(app)
flowing_help(app)
fitting_help(app)
group_in_panels(app)


def _end_well() -> None:
    """Let a scheduler's SIGTERM and a closed terminal's SIGHUP end a command as Ctrl-C does, nothing half-written.

    A training that is under way answers them itself, and saves its state. A signal that is ignored, as SIGHUP under
    nohup, stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def _drop_odd_widths() -> None:
    """Drop widths of the terminal that are none: rich and Typer would read them without a look."""
    for name in ("COLUMNS", "LINES", "TERMINAL_WIDTH"):
        word = os.environ.get(name, "1")
        if not (word.isascii() and word.isdigit() and len(word) <= 4 and int(word) > 0):
            del os.environ[name]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the contract's code.

    Args:
        arguments: Words after ``bench``; the process's own by default.
    """
    with prepared_process():
        sys.exit(_exit_code(list(sys.argv[1:] if arguments is None else arguments)))


def _exit_code(words: list[str]) -> int:
    """Run a command line to its end."""
    if VARIABLE in os.environ:
        print_completions(app, words)
        return 1  # the shell asked for what there is not
    prepare_streams()
    _drop_odd_widths()
    _end_well()
    options = words[: words.index("--")] if "--" in words else words
    # Options of the program may stand anywhere, after the command too.
    common_words = [word for word in options if word in ANYWHERE]
    rest = [word for word in options if word not in ANYWHERE] + words[len(options) :]
    debug = "--debug" in common_words
    code = _exit_code_of(lambda: _run_in_group(common_words, rest, debug), debug)
    return code or _exit_code_of(sys.stdout.flush, debug)


def _run_in_group(common_words: list[str], rest: list[str], debug: bool) -> int:
    """Run a command; one that serves the processes of torchrun, srun and others runs in the first of them."""
    if rest[:1] and rest[0] in IN_GROUPS:
        from bench.api.groups import in_group

        # Whatever its end is, the other processes must hear of it.
        return in_group(lambda: _exit_code_of(lambda: _run(common_words + rest), debug), rest)
    return _run(common_words + rest)


def _run(words: list[str]) -> int:
    """Run a command without Typer's own printing of errors, which shows words of the user as they are."""
    command = typer.main.get_command(app)
    try:
        with command.make_context("bench", words) as context:
            check_current_folder()
            command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    return 0


# Typer exports one of the kinds of wrong usage alone.
_UsageError = cast(type[Exception], typer.BadParameter.__bases__[0])


def _exit_code_of(action: Callable[[], int | None], debug: bool) -> int:
    """Do something and give the exit code; the error that ended it is printed."""
    try:
        return action() or 0
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the border of the process
        if debug:
            print_traceback(error)
        return _print_error(error)


def _print_error(error: BaseException) -> int:
    """Print an error and give its exit code."""
    if isinstance(error, FileNotFoundError):
        # Libraries raise it where they like, and say no more.
        try:
            temporary_place()
        except BenchError as known:
            error = known
    if isinstance(error, _UsageError):
        return _print_usage_error(error)
    if isinstance(error, BenchError):
        show_error(error)
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        stderr().print("interrupted")
        return 130
    if isinstance(error, typer.Abort):
        stderr().print("aborted")
        return 1
    show_internal_error(error)
    return 1


def _print_usage_error(error: Any) -> int:
    if type(error).__name__ != "NoArgsIsHelpError":
        hint = f"`{error.ctx.command_path} --help` shows how it is used." if error.ctx else None
        show_error(SpecError(shortened(error.format_message(), LONGEST_USAGE), hint))
    elif error.message:  # empty where Typer has printed the help already, by rich
        stderr().print(message_text(error.message))
    return SpecError.exit_code
