"""What every child process is: ``python -m bench.launch.child_process MODULE`` calls ``MODULE.main(task, parent)``.

It ends with its parent, leaves the terminal's signals to it, reads its task from the standard input, and tells how it
ended over a socket of its own: the value that ``main`` returned, or the error that it raised. Everything that it prints
goes to its stderr, which the parent logs. Its side of the conversation is here, the parent's in
:mod:`bench.launch.child`.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Any

from bench.core.error_wire import error_document
from bench.core.errors import BenchError, RunError
from bench.core.garbage import rarely_look_for_garbage
from bench.core.lifetimes import die_with_parent, leave_to_parent
from bench.core.log import show_log
from bench.core.streams import prepare_helper_streams, print_traceback


class Parent:
    """The process that started this one, as it is reached from here: a line of JSON for each message.

    Args:
        wire: The socket to it.
    """

    def __init__(self, wire: socket.socket) -> None:
        self._stream = wire.makefile("rw", encoding="utf-8", newline="\n")

    def tell(self, message: Mapping[str, Any]) -> None:
        """Send a message."""
        # A parent that has closed its end wants to hear no more; this process ends with it, or is ended by it.
        with contextlib.suppress(ConnectionError):
            self._stream.write(json.dumps(message) + "\n")
            self._stream.flush()

    def ask(self, question: Mapping[str, Any]) -> Any:
        """Send a message and wait for the answer."""
        self.tell(question)
        return json.loads(self._stream.readline())


def run_child(module: str, frame: Mapping[str, Any], parent: Parent) -> int:
    """Do a child's work and tell the parent how it ended.

    Args:
        module: The module whose ``main`` does it.
        frame: What the parent wrote on the standard input: ``task`` and ``label``.
        parent: Who hears of the end.

    Returns:
        The exit code.
    """
    try:
        show_log(label=frame["label"])
        value = importlib.import_module(module).main(frame["task"], parent)
    except BenchError as error:
        parent.tell({"event": "error", "error": error_document(error)})
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - a process border: whatever it is, the parent must hear of it
        print_traceback(error)
        parent.tell({"event": "error", "error": error_document(error)})
        return RunError.exit_code
    parent.tell({"event": "done", "value": value})
    return 0


def main() -> None:
    """Be the child that the parent's words on the standard input describe."""
    # What a terminal sends comes to this process where its number is typed: the parent asks with SIGTERM.
    leave_to_parent(signal.SIGINT, signal.SIGHUP)
    die_with_parent()
    prepare_helper_streams()
    rarely_look_for_garbage()
    frame = json.load(sys.stdin)
    # Anew, with the parent's number: it may have ended before the first call.
    die_with_parent(frame["parent"])
    wire = socket.socket(fileno=frame["wire"])
    wire.set_inheritable(False)
    code = run_child(sys.argv[1], frame, Parent(wire))
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    # Destructors of CUDA and of process groups may hang, or abort a process that has done its work.
    os._exit(code)


if __name__ == "__main__":
    main()
