"""What a search adds to a run: a watcher that may prune it after an epoch, and data that several runs share.

In a run of several processes the watcher lives in the process that started them. The first rank asks it over a socket
that it inherits; its answer reaches the others through their process group, so that all of them end together.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.data.bank import Progress

if TYPE_CHECKING:
    from bench.engine.data import RunData
    from bench.experiment.spec import RunSpec

Watch = Callable[[Mapping[int, float]], str | None]
"""Given the 4-class Score (percent) of each epoch so far, says why to stop here; None to go on."""

WATCH_VARIABLE = "BENCH_WATCH"
"""In every process of a watched group: the file descriptor that the first rank asks through."""


@dataclass(frozen=True)
class Hooks:
    """The calls by which a search takes part in a run.

    Attributes:
        watch: Asked after each epoch; None where nobody wants to know.
        open_data: Opens the data of a spec; None for the usual way.
        stopped: Whether a signal to stop came before the training could listen for it.
    """

    watch: Watch | None = None
    open_data: Callable[[RunSpec, Progress | None], RunData] | None = None
    stopped: Callable[[], bool] = bool


class WatchedGroup:
    """The end of the socket that the process which started a group keeps.

    Args:
        watch: The watcher that the group's questions are answered by.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._here, self.there = socket.socketpair()
        self._here.setblocking(False)
        self._text = b""

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables by which the processes of the group find the socket."""
        return {WATCH_VARIABLE: str(self.there.fileno())}

    def answer(self) -> None:
        """Answer a question, if there is one."""
        with contextlib.suppress(BlockingIOError):
            while part := self._here.recv(1 << 16):
                self._text += part
        question, end, rest = self._text.partition(b"\n")
        if end:
            self._text = rest
            scores = {int(epoch): float(score) for epoch, score in json.loads(question).items()}
            # The group may have gone meanwhile; its loss shows elsewhere.
            with contextlib.suppress(OSError):
                self._here.sendall(json.dumps(self._watch(scores)).encode() + b"\n")

    def close(self) -> None:
        """Close both ends."""
        self._here.close()
        self.there.close()


@contextlib.contextmanager
def watched_group(watch: Watch | None) -> Iterator[WatchedGroup | None]:
    """A socket to a watcher, if there is one, closed in the end."""
    if watch is None:
        yield None
        return
    group = WatchedGroup(watch)
    try:
        yield group
    finally:
        group.close()


def watch_of_rank(rank: int) -> Watch | None:
    """The watcher as a process of a group sees it: the first rank asks, the others hear of the answer from it."""
    number = os.environ.get(WATCH_VARIABLE)
    if number is None:
        return None
    if rank > 0:
        return lambda scores: None
    asked = socket.socket(fileno=int(number))
    stream = asked.makefile("rw", encoding="utf-8", newline="\n")

    def ask(scores: Mapping[int, float]) -> str | None:
        stream.write(json.dumps(scores) + "\n")
        stream.flush()
        answer: str | None = json.loads(stream.readline())
        return answer

    return ask
