"""Runs one spec in a process of its own, so that a run that fails, or is killed, takes nothing else with it.

The process reads the spec from its standard input, launches it as ``bench run`` does, and says how it ended in one
line on its standard output. It dies with its parent, however that ends; its progress goes to the common stderr.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from bench.core.errors import BenchError, InterruptedRunError, LostProcessError, RunError
from bench.core.lifetimes import signal_name, stop_signals
from bench.experiment.spec import RunSpec


class Interruption:
    """Ctrl-C, SIGTERM and SIGHUP while runs are under way in processes of their own.

    The first one asks the run under way to save its state and stop; a second Ctrl-C kills it. Between two runs it is
    only remembered: ``wanted`` says so.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._process: subprocess.Popen[str] | None = None

    @contextlib.contextmanager
    def watched(self) -> Iterator[Interruption]:
        """Take the signals over for a block."""
        before = {number: signal.signal(number, self._stop) for number in stop_signals()}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        again, self.wanted = self.wanted and number == signal.SIGINT, True
        if self._process is not None:
            # SIGTERM also where it was Ctrl-C: a process that is still importing then ends without a traceback.
            self._process.send_signal(signal.SIGKILL if again else signal.SIGTERM)

    def follow(self, process: subprocess.Popen[str]) -> None:
        """Pass signals on to a process, one that came before it was known included."""
        self._process = process
        if self.wanted:
            process.send_signal(signal.SIGTERM)

    def leave(self) -> None:
        """The process has ended."""
        self._process = None


def run_isolated(spec: RunSpec, home: Path, *, rerun: bool, interruption: Interruption) -> None:
    """Run a spec to its end in a process of its own.

    Args:
        spec: What to run.
        home: The results folder.
        rerun: Run it again even if it is finished.
        interruption: Where signals come from.

    Raises:
        BenchError: What the run failed with or could not start for; LostProcessError if its process was killed or
            ended without a word, InterruptedRunError if it was stopped.
    """
    words = [sys.executable, "-m", "bench.launch.isolated", str(home), "rerun" if rerun else "missing"]
    # Of its own session, so that a Ctrl-C of the terminal reaches it once, through the parent.
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        interruption.follow(process)
        said, _ = process.communicate(json.dumps(spec.to_json()))
        interruption.leave()
    error = _told(said)
    if error is not None:
        raise error
    if process.returncode == 0:
        return
    if interruption.wanted:
        raise InterruptedRunError(f"Run {spec.run_id} was stopped before it could save more of its state.")
    code = process.returncode
    killed = f": killed by {signal_name(-code)}" if code < 0 else ""
    raise LostProcessError(
        f"The process of run {spec.run_id} was lost (exit code {code}){killed}.",
        "Look at the lines above; the same command goes on from the last saved state.",
    )


def _told(said: str) -> BenchError | None:
    """The error that a process reported in its last line."""
    import bench.core.errors

    try:
        document = json.loads(said.splitlines()[-1])
        kind, message, hint = document["type"], document["message"], document["hint"]
    except (IndexError, ValueError, TypeError, KeyError):
        # A plug-in may have printed there.
        return None
    error: BenchError = getattr(bench.core.errors, kind, RunError)(message, hint)
    return error


def main() -> int:
    """Launch the spec on the standard input; the exit code is that of its error."""
    from bench.core.lifetimes import die_with_parent
    from bench.core.log import SHORT_ID, show_log
    from bench.core.streams import prepare_helper_streams
    from bench.launch.once import launch

    die_with_parent()
    prepare_helper_streams()
    home, wish = Path(sys.argv[1]), sys.argv[2]
    spec = RunSpec.from_json(json.load(sys.stdin))
    show_log(label=spec.run_id[:SHORT_ID])
    error: BenchError | None
    try:
        error = launch(spec, home, rerun=wish == "rerun").error
    except BenchError as refused:
        error = refused
    if error is None:
        return 0
    print(json.dumps({"type": type(error).__name__, "message": error.message, "hint": error.hint}))  # noqa: T201
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
