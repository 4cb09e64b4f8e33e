"""The ``bench`` command: parses, calls one function, turns errors into one sentence and an exit code.

Heavy imports (torch, sqlalchemy) stay inside the commands, so that ``bench --help`` answers at once.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
import threading

import typer

from bench.cli import board, data, doctor, later, mock_run, registries, report, reproduce, run, search
from bench.cli.numbers import strict_numbers
from bench.cli.output import stderr
from bench.environment import keep_settings_out
from bench.errors import BenchError
from bench.version import __version__

# Modules and boards are many small objects that live to the end: looking through them for garbage while they are made,
# and once more at exit, would take a fifth of a short command's time.
gc.set_threshold(100_000, 20, 20)
atexit.register(gc.freeze)

EPILOG = "Examples:  bench run --model ast --method patchmix-cl  |  bench data verify  |  bench report leaderboard"

app = typer.Typer(
    name="bench",
    help="Benchmark and leaderboard of respiratory sound classification (ICBHI 2017).",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lungbench {__version__}")
        raise typer.Exit


@app.callback()
def common(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """Options that come before the command."""


for module in (run, search, reproduce, report, board, data, registries, mock_run, doctor, later):
    module.register(app)
strict_numbers(app)


def _show(error: BenchError) -> None:
    console = stderr()
    console.print(f"[bold red]error:[/] {_plain(error.message)}")
    if error.hint:
        console.print(f"[bold]hint:[/] {_plain(error.hint)}")


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


def _share_cores() -> None:
    """Let OpenMP's threads fall asleep sooner while they wait for one another; what the user has set stands.

    By default they stay awake for 300,000 turns of a loop. Beside another program on the same cores, that keeps the
    threads that they wait for from running: an epoch of 1.9 s took 21 to 52 s, and takes 5.5 s like this. On an idle
    machine it is as quick as before.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def _end_well() -> None:
    """Let SIGTERM, a scheduler's or a supervisor's, end a command as Ctrl-C does: nothing half-written stays behind.

    A training that is under way answers both signals itself, and saves its state.
    """
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the contract's code.

    Args:
        arguments: Words after ``bench``; the process's own by default.
    """
    keep_settings_out()
    _share_cores()
    _end_well()
    words = sys.argv[1:] if arguments is None else arguments
    try:
        app(args=words, prog_name="bench")
    except BenchError as error:
        if "--debug" in words:
            raise
        _show(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        stderr().print("interrupted", style="bold red")
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read the output has gone; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if "--debug" in words:
            raise
        stderr().print(f"internal error: {type(error).__name__}: {error}", style="bold red", markup=False)
        stderr().print("hint: run it again as `bench --debug …` and report the traceback", markup=False)
        sys.exit(1)
