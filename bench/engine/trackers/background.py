"""A tracker that works beside the training, in a thread of its own: whatever it does, the run goes on.

Trackers speak to servers and disks. One that fails, or does not answer, is told of once and then left alone.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import TypeAlias

from bench.core.messages import shortened
from bench.core.secrets import without_secrets_of_environment
from bench.core.text import plain

logger = logging.getLogger(__name__)

MOST_WAITING = 10_000
"""Reports that may wait for a tracker: a slow one is a nuisance, and no reason to fill the memory."""
SILENT_SECONDS = 300.0
"""After which a tracker that has not done with one report is taken for one that hangs."""
END_SECONDS = 60.0
"""How long the end of a run waits for its trackers to send what they have."""
LONGEST_REASON = 300

Report: TypeAlias = Callable[[], None]
"""Something that the tracker does; it may take long, and may fail."""


class BackgroundTracker:
    """Carries out reports one after the other beside the training.

    Args:
        name: The tracker's name, for messages.
        silent_seconds: After which time within one report it counts as hanging.
    """

    def __init__(self, name: str, silent_seconds: float = SILENT_SECONDS) -> None:
        self.name, self.silent_seconds = name, silent_seconds
        self._waiting: queue.Queue[Report | None] = queue.Queue(MOST_WAITING)
        self._off = threading.Event()
        self._ending = threading.Lock()
        self._busy_since: float | None = None
        # A daemon: one that hangs keeps no process from ending.
        self._thread = threading.Thread(target=self._work, name=f"tracker {name}", daemon=True)

    @property
    def is_off(self) -> bool:
        """Whether the tracker has failed, and hears of nothing any more."""
        return self._off.is_set()

    def start(self) -> None:
        """Begin to work."""
        try:
            self._thread.start()
        except RuntimeError as error:  # no more threads for this user
            self._give_up(_reason(error))

    def tell(self, report: Report) -> None:
        """Hand a report over; nothing waits for it, and nothing is done where the tracker is off."""
        if self.is_off:
            return
        if self._is_stuck():
            self._give_up(f"it has not answered for {self.silent_seconds:g} seconds")
            return
        self._put(report)

    def tell_last(self, report: Report) -> None:
        """Hand the last report over."""
        self.tell(report)
        if not self.is_off:
            self._put(None)

    def wait(self, deadline: float) -> None:
        """Wait until everything is carried out, but not for ever.

        Args:
            deadline: By the monotonic clock, until when.
        """
        if self.is_off:
            return
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            self._give_up("it did not end in time; what it has not sent is lost")

    def _put(self, report: Report | None) -> None:
        try:
            self._waiting.put_nowait(report)
        except queue.Full:
            self._give_up(f"it does not keep up: {MOST_WAITING:,} reports are waiting for it")

    def _is_stuck(self) -> bool:
        since = self._busy_since
        return since is not None and time.monotonic() - since > self.silent_seconds

    def _work(self) -> None:
        try:
            while (report := self._waiting.get()) is not None and not self.is_off:
                self._busy_since = time.monotonic()
                report()
                self._busy_since = None
        except BaseException as error:
            logger.debug("the tracker %s failed", self.name, exc_info=True)
            self._give_up(_reason(error))

    def _give_up(self, reason: str) -> None:
        # By its own thread or by that of the training, whichever is first: it is told once.
        with self._ending:
            is_first = not self.is_off
            self._off.set()
        if is_first:
            logger.warning(f"the tracker {self.name} is off for the rest of this run, which goes on: {reason}")


def _reason(error: BaseException) -> str:
    """What a tracker failed with, in one line; its messages may repeat the key that it was given."""
    words = plain(" ".join(str(error).split())) or "no reason given"
    return f"{type(error).__name__}: {shortened(without_secrets_of_environment(words), LONGEST_REASON)}"
