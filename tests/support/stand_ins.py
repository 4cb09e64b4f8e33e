"""Scripts of a few words that stand in for child processes, and signals that come while they are at work."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HEADER = """
import json, os, pathlib, signal, socket, sys, time
frame = json.load(sys.stdin)
task, wire = frame["task"], socket.socket(fileno=frame["wire"])
def tell(message):
    wire.sendall(json.dumps(message).encode() + b"\\n")
def report(kind, message, module="bench.core.errors", hint=None):
    document = {"module": module, "type": kind, "message": message, "hint": hint, "exit_code": 1, "expected": True}
    tell({"event": "error", "error": document})
"""


def stand_in(monkeypatch: Any, folder: Path, script: str) -> None:
    """Let every child process be a script, which has its ``task`` and may ``tell`` and ``report``."""
    path = folder / "stand-in.py"
    path.write_text(HEADER + script)
    # Without site-packages: it starts in a few hundredths of a second.
    monkeypatch.setattr("bench.launch.child.child_command", lambda module: [sys.executable, "-S", str(path)])


@contextlib.contextmanager
def once(happened: Callable[[], bool], *numbers: int, pause: float = 0.2) -> Iterator[None]:
    """Send signals to this process, one after the other, when something has happened."""

    def send() -> None:
        while not happened():
            time.sleep(0.01)
        for number in numbers:
            os.kill(os.getpid(), number)
            time.sleep(pause)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    yield
    thread.join(timeout=30)
    assert not thread.is_alive(), "nothing happened"
