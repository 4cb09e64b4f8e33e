"""How long processes live: helpers end with the process that started them, and which signals ask one to stop."""

from __future__ import annotations

import ctypes
import signal
import sys
import threading

PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask the kernel (Linux) to kill this process when its parent ends, even by kill -9."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def stop_signals() -> tuple[signal.Signals, ...]:
    """The signals that ask this process to stop: Ctrl-C, SIGTERM, and SIGHUP, which a terminal sends as it closes.

    SIGHUP is none of them where it is ignored: ``nohup`` started the process so that it outlives its terminal. In
    another thread than the main one there are none: Python runs the handlers of signals in the main thread, and lets
    no other one change them.
    """
    if threading.current_thread() is not threading.main_thread():
        return ()
    hangs_up = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if hangs_up else ()))


def signal_name(number: int) -> str:
    """A signal as people know it, ``SIGKILL``; its number where it has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
