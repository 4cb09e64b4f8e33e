"""How long processes live: helpers end with the process that started them, and signals ask a process to stop."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

PR_SET_PDEATHSIG = 1

STOP_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
"""Every signal that may ask a process to stop: Ctrl-C, that of schedulers, and that of a terminal that closes."""

_left_to_parent: set[signal.Signals] = set()


def die_with_parent(parent: int | None = None) -> None:
    """Ask the kernel (Linux) to kill this process when its parent ends, even by kill -9.

    Args:
        parent: The process id of the parent, where it is known: one that has ended already is noticed by it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def is_alive(process: int) -> bool:
    """Whether this machine has a process of a number, also of another user; a number that cannot be asked for counts.

    Args:
        process: The process id.
    """
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def process_age_mark(process: int) -> str | None:
    """What tells a process from a later one that has its number: when it started (Linux); None if nobody can tell.

    Args:
        process: The process id.
    """
    try:
        # The name of the program, which may hold anything, stands in brackets before the rest.
        return (
            Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
        )
    except (OSError, IndexError):
        return None


def leave_to_parent(*numbers: signal.Signals) -> None:
    """Ignore signals from now on in this process: its parent answers them, and passes on what is to be done."""
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)
    _left_to_parent.update(numbers)


def stop_signals() -> tuple[signal.Signals, ...]:
    """The signals that ask this process to stop.

    SIGHUP is none of them where it is ignored: ``nohup`` started the process so that it outlives its terminal. In
    another thread than the main one there are none: Python runs the handlers of signals in the main thread, and lets
    no other one change them.
    """
    if threading.current_thread() is not threading.main_thread():
        return ()
    heard = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        heard.append(signal.SIGHUP)
    return tuple(number for number in heard if number not in _left_to_parent)


def signal_name(number: int) -> str:
    """A signal as people know it, ``SIGKILL``; its number where it has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Let signals to stop wait while the block runs: Python ignores what they raise in the hooks of a fork."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _nothing() -> None:
    """Leave it at remembering the signal."""


def _interrupt() -> None:
    raise KeyboardInterrupt


class StopRequest:
    """Remembers Ctrl-C, SIGTERM and SIGHUP while a block runs, so that the work in it stops where it can save itself.

    Requests nest: one around this one remembers the signals too, and what it remembers already counts here.

    Args:
        ask: Called at each signal, the second Ctrl-C excepted.
        end: Called at a Ctrl-C that follows a signal; raises KeyboardInterrupt by default.

    Attributes:
        wanted: Whether a signal has come.
    """

    def __init__(self, ask: Callable[[], None] = _nothing, end: Callable[[], None] = _interrupt) -> None:
        self.wanted = False
        self._ask, self._end = ask, end
        self._before: dict[signal.Signals, Any] = {}
        self._around: StopRequest | None = None

    def __enter__(self) -> StopRequest:
        for number in stop_signals():
            self._before[number] = before = signal.signal(number, self._hear)
            around = getattr(before, "__self__", None)
            self._around = around if isinstance(around, StopRequest) else self._around
        if self._around is not None and self._around.wanted:
            self.wanted = True
            self._ask()
        return self

    def __exit__(self, *unused: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _hear(self, number: int, frame: FrameType | None) -> None:
        again = self.wanted and number == signal.SIGINT
        self._remember()
        (self._end if again else self._ask)()

    def _remember(self) -> None:
        self.wanted = True
        if self._around is not None:
            self._around._remember()
