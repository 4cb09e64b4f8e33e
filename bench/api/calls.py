"""What a call of the Python API, like every command, needs of its process, and what an interrupted one says."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from bench.core.environment import keep_settings_out, refuse_late_settings
from bench.core.errors import BenchError, InterruptedRunError
from bench.core.log import show_log_by_default
from bench.core.machine import let_threads_sleep
from bench.core.secrets import public_url
from bench.experiment.judged_results import results_judged

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

NOT_AGAIN = "rerun"
"""The keyword that an interrupted call goes on without: it would begin anew."""


@contextlib.contextmanager
def prepared_process() -> Iterator[None]:
    """Keep out of this process what would change numbers, and have every result that it reads judged.

    Commands and calls of the Python API do their work within it; one within another adds nothing.
    """
    keep_settings_out()
    let_threads_sleep()
    with results_judged():
        yield


@contextlib.contextmanager
def going_on_with(words: str) -> Iterator[None]:
    """Have an interruption say what goes on from the saved state.

    Args:
        words: The command, or the call, to give again.

    Raises:
        InterruptedRunError: In the place of an interruption of the block, Ctrl-C included.
    """
    try:
        yield
    except (InterruptedRunError, KeyboardInterrupt) as error:
        message = error.message if isinstance(error, InterruptedRunError) else "Stopped at once."
        raise InterruptedRunError(message, f"Go on with: {words}") from error


def api_call(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Make a function one of the Python API.

    It shows the log, unless the caller has set up logging, judges the results that it reads, and shows hints.

    Raises:
        SpecError: When it is called, if the environment changes what a library computes that is already imported.
    """

    @functools.wraps(function)
    def called(*args: Parameters.args, **keywords: Parameters.kwargs) -> Result:
        show_log_by_default()
        refuse_late_settings()
        with prepared_process(), _hints_shown():
            return function(*args, **keywords)

    return called


@contextlib.contextmanager
def _hints_shown() -> Iterator[None]:
    """Have the traceback of an error end with its hint, which a command would print."""
    try:
        yield
    except BenchError as error:
        note = f"hint: {error.hint}"
        if error.hint and note not in getattr(error, "__notes__", ()):
            error.add_note(note)
        raise


def resumable(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Have a function of the Python API say, when it is interrupted, that the same call goes on."""

    @functools.wraps(function)
    def called(*args: Parameters.args, **keywords: Parameters.kwargs) -> Result:
        with going_on_with(call_text(function.__name__, args, keywords)):
            return function(*args, **keywords)

    return called


def call_text(name: str, args: Sequence[Any], keywords: Mapping[str, Any]) -> str:
    """A call as Python text that can be given again, as in ``bench.run('ast', 'ce', epochs=2)``; without passwords."""
    words = [_value_text(value) for value in args]
    words += [f"{key}={_value_text(value)}" for key, value in keywords.items() if key != NOT_AGAIN]
    return f"bench.{name}({', '.join(words)})"


def _value_text(value: Any) -> str:
    if isinstance(value, Path):
        value = str(value)
    return repr(public_url(value) if isinstance(value, str) else value)
