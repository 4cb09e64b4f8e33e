"""The one way to start a process: isolated runs, the ranks of a run, workers of a search, measurements.

Each child is an interpreter in a session of its own, which :mod:`bench.launch.child_process` makes a good child of this
process. It reads its task from its standard input; over a socket it tells how it ended, with the error that it ended
with. The first signal to stop asks the children to save their state and end, a second Ctrl-C ends them.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.core.error_wire import read_error
from bench.core.errors import BenchError, InterruptedRunError, LostProcessError, RunError, UnexpectedError
from bench.core.lifetimes import StopRequest, signal_name
from bench.launch.child_log import ChildLog
from bench.launch.child_stderr import ChildStderr

logger = logging.getLogger(__name__)

KILLED_HINT = (
    "SIGKILL out of nowhere is what a machine does that runs out of memory: --set micro_batch=… or checkpointing=true "
    "needs less."
)

LOOK_SECONDS = 0.1
"""Between two looks at processes that have nothing to say."""

Hear = Callable[["Child", Mapping[str, Any]], None]
"""Takes a message of a child while it works."""


@dataclass(frozen=True)
class Grace:
    """How long processes may take to end once there is a reason for it; then they are ended.

    Attributes:
        word: Seconds after its own last word, since a process can hang as it leaves; for partners, which wait for one
            another, after one of them has failed too, and after what they work on is there.
        done: Seconds after a partner's work is done, for the one that writes the result.
        loss: Seconds after a partner was killed: what the others wait for never comes.
    """

    word: float = 60.0
    done: float = 600.0
    loss: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a child shall do.

    Attributes:
        module: The module whose ``main(task, parent)`` does it.
        task: What ``main`` is given; JSON.
        name: What the child is called in messages, ``run 3f2a…``.
        label: What stands before each line that it logs; empty where it is alone.
        log: The file that keeps what it writes on stderr; None for none.
        shown: Whether that is shown on this process's stderr too.
        environment: Variables that it has besides this process's own; None takes one away.
    """

    module: str
    task: Mapping[str, Any]
    name: str
    label: str = ""
    log: Path | None = None
    shown: bool = True
    environment: Mapping[str, str | None] = field(default_factory=dict)


def child_command(module: str) -> list[str]:
    """The words that start a child."""
    return [sys.executable, "-m", "bench.launch.child_process", module]


class Child:
    """A process that was started for some work.

    Args:
        work: The work.

    Attributes:
        error: The error that it told of, if it did.
        value: What its work gave, if it told.
        said_last: Whether it told how it ended.
        ended_here: Whether it was ended from here.

    Raises:
        StoreError: If its log cannot be written.
        RunError: If no process can be started.
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        self.error: BenchError | None = None
        self.value: Any = None
        self.said_last = self.ended_here = False
        self._text, self._wire_ended = b"", False
        log = ChildLog(work.log) if work.log is not None else None
        self.stderr = ChildStderr(log, work.shown)
        self.wire, there = socket.socketpair()
        self.wire.setblocking(False)
        try:
            with there:
                self._process = self._start(there)
        except BaseException:
            self.close()
            raise

    def _start(self, there: socket.socket) -> subprocess.Popen[bytes]:
        frame = {"task": self.work.task, "label": self.work.label, "wire": there.fileno(), "parent": os.getpid()}
        text = json.dumps(frame).encode()
        with self.stderr.end_of_child() as stderr:
            try:
                process = subprocess.Popen(
                    child_command(self.work.module),
                    stdin=subprocess.PIPE,
                    # What a plug-in prints is no result of this process, and stands with the rest.
                    stdout=stderr,
                    stderr=stderr,
                    env=_environment(self.work.environment),
                    pass_fds=(there.fileno(),),
                    # Of its own session, so that a Ctrl-C of the terminal reaches it once, through this process.
                    start_new_session=True,
                )
            except OSError as error:
                raise RunError(
                    f"No process can be started for {self.work.name}: {error.strerror or error}.",
                    "Raise the limit of processes or open files (`ulimit -a`).",
                ) from error
        assert process.stdin is not None
        logger.debug("%s is process %d; its log is %s", self.work.name, process.pid, self.work.log or "nowhere")
        # A process that ended before it read its task is heard of by its exit code.
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write(text)
        return process

    @property
    def sources(self) -> Sequence[int]:
        """Descriptors to wait for."""
        return [*self.stderr.sources, *([] if self._wire_ended else [self.wire.fileno()])]

    @property
    def code(self) -> int | None:
        """The exit code, negative for the signal that killed it; None while it is alive."""
        return self._process.poll()

    @property
    def lost(self) -> bool:
        """Whether a signal that did not come from here has killed it."""
        return self.code is not None and self.code < 0 and not self.ended_here

    def ask_to_stop(self) -> None:
        """Ask it to save its state and end; one that still imports ends at once."""
        self._process.terminate()

    def end(self) -> None:
        """Kill it, if it is alive."""
        if self.code is None:
            self.ended_here = True
            self._process.kill()

    def answer(self, value: Any) -> None:
        """Answer a question of it; one that has gone meanwhile is noticed elsewhere."""
        with contextlib.suppress(OSError):
            self.wire.sendall(json.dumps(value).encode() + b"\n")

    def raise_error(self) -> None:
        """Say how it ended; nothing where it told that its work is done.

        Raises:
            BenchError: The error that it told of.
            LostProcessError: If it ended without a word.
        """
        if self.error is not None:
            raise self.error
        if self.said_last:
            return
        code = self.code
        hint = "Look at the lines above; the same command goes on from the last saved state."
        if code == -signal.SIGKILL:
            hint = f"{hint} {KILLED_HINT}"
        killed = f": killed by {signal_name(-code)}" if code is not None and code < 0 else ""
        raise LostProcessError(f"The process of {self.work.name} was lost (exit code {code}){killed}.", hint)

    def messages(self) -> Iterator[Mapping[str, Any]]:
        """What it has told meanwhile, its last word excepted."""
        for line in self._lines():
            message = json.loads(line)
            match message:
                case {"event": "error", "error": document}:
                    self.said_last, self.error = True, self._with_hint(read_error(document))
                case {"event": "done", "value": value}:
                    self.said_last, self.value = True, value
                case _:
                    yield message

    def _lines(self) -> Iterator[bytes]:
        # That the child has closed its end is no news: what matters is the end of the process.
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while not self._wire_ended:
                part = self.wire.recv(1 << 16)
                self._wire_ended = not part
                *lines, self._text = (self._text + part).split(b"\n")
                yield from lines

    def _with_hint(self, error: BenchError) -> BenchError:
        if isinstance(error, UnexpectedError) and error.hint is None and self.work.log is not None:
            return UnexpectedError(error.message, f"Its traceback is in {self.work.log}.")
        return error

    def close(self) -> None:
        """Read what is left of its stderr, and close what leads to it."""
        self.stderr.close()
        self.wire.close()


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    merged = {**os.environ, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def _never() -> bool:
    return False


class Children:
    """Processes of this one, from the start of the first to the end of the last; none outlives the block.

    Args:
        hear: Takes what they tell while they work.
        partners: Whether they wait for one another, so that none can go on when one has ended.
        is_over: Of partners, whether what they work on is there already, whatever they do yet.
        grace: How long they may take to end.
    """

    def __init__(
        self,
        hear: Hear | None = None,
        *,
        partners: bool = False,
        is_over: Callable[[], bool] = _never,
        grace: Grace | None = None,
    ) -> None:
        self.alive: list[Child] = []
        self._hear, self._partners, self._is_over, self._grace = hear, partners, is_over, grace or Grace()
        self._stop = StopRequest(self._pass_on, self.end)
        self._asked_here = False
        self._deadlines: dict[Child, float] = {}

    def __enter__(self) -> Children:
        self._stop.__enter__()
        return self

    def __exit__(self, *unused: object) -> None:
        # What they still tell matters to nobody, and must not raise an error again.
        self._hear = None
        try:
            self.end()
            self.wait()
        finally:
            self._stop.__exit__()

    @property
    def asked(self) -> bool:
        """Whether they were asked to stop, by a signal or from here."""
        return self._asked_here or self._stop.wanted

    def start(self, work: Work) -> Child:
        """Start a process.

        Raises:
            InterruptedRunError: If they were asked to stop; then none is started.
            StoreError: If its log cannot be written.
            RunError: If no process can be started.
        """
        if self.asked:
            raise InterruptedRunError(f"Stopped before {work.name} began.")
        child = Child(work)
        self.alive.append(child)
        if self.asked:
            # The signal came while it was being made.
            child.ask_to_stop()
        return child

    def ask_to_stop(self) -> None:
        """Ask all to save their state and end."""
        self._asked_here = True
        self._pass_on()

    def _pass_on(self) -> None:
        for child in tuple(self.alive):
            child.ask_to_stop()

    def end(self) -> None:
        """End all that are left."""
        for child in tuple(self.alive):
            child.end()

    def limit(self, seconds: float) -> None:
        """Have those that are left ended after some time, or earlier where that was said before."""
        for child in self.alive:
            self._give(child, seconds)

    def ended(self) -> Iterator[Child]:
        """Wait for them, hearing what they tell; gives each one when it has ended, until none is left."""
        for gone in self.looks():
            yield from gone

    def looks(self) -> Iterator[Sequence[Child]]:
        """Wait for them, giving several times a second those that have ended since, until none is left."""
        while self.alive:
            yield self.look(LOOK_SECONDS)

    def look(self, seconds: float) -> Sequence[Child]:
        """Hear what they tell, waiting at most so long where they say nothing, and give those that have ended."""
        self._listen(seconds)
        self._end_overdue()
        # The killed ones first: what the others that are gone by now complain of may come from that.
        gone = sorted((child for child in self.alive if child.code is not None), key=lambda it: not it.lost)
        for child in gone:
            # What it told last is on its way here still.
            self._pass_on_what_it_told(child)
            self.alive.remove(child)
            self._deadlines.pop(child, None)
            child.close()
        return gone

    def wait(self) -> None:
        """Wait for all, hearing what they tell."""
        for _ in self.ended():
            pass

    def _listen(self, seconds: float) -> None:
        """Wait until one of them tells or writes something, but not longer than that."""
        with selectors.DefaultSelector() as selector:
            for child in self.alive:
                for source in child.sources:
                    selector.register(source, selectors.EVENT_READ)
            selector.select(seconds)
        for child in tuple(self.alive):
            self._pass_on_what_it_told(child)

    def _pass_on_what_it_told(self, child: Child) -> None:
        """Pass on a child's messages and stderr, and set the time in which it has to end after its last word."""
        child.stderr.pass_on()
        for message in child.messages():
            if self._hear is not None:
                self._hear(child, message)
        if child.said_last:
            self._give(child, self._grace.word)
        if self._partners:
            self._give_partners(child)

    def _give_partners(self, child: Child) -> None:
        """Give those that wait for one which has ended, or soon will, the time to end too."""
        if child.lost:
            seconds = self._grace.loss
        elif child.error is not None or child.code or self._is_over():
            seconds = self._grace.word
        elif child.said_last:
            seconds = self._grace.done
        else:
            return
        for other in self.alive:
            self._give(other, seconds)

    def _give(self, child: Child, seconds: float) -> None:
        """Let a child be ended after some time, or earlier if that was said before."""
        deadline = time.monotonic() + seconds
        self._deadlines[child] = min(deadline, self._deadlines.get(child, deadline))

    def _end_overdue(self) -> None:
        for child in self.alive:
            if time.monotonic() > self._deadlines.get(child, float("inf")):
                child.end()
