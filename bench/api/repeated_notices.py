"""Notices on files of which many may say the same: the first is said in full, the others are named together."""

from __future__ import annotations

import logging
from pathlib import Path

from bench.core.text import counted_noun, echoed

logger = logging.getLogger(__name__)

MOST_NAMES = 10
"""Files that are named together; nobody reads more, and JSON has them all."""


class RepeatedNotices:
    """Says a notice on a file once, and at the end of which other files it is true.

    Args:
        kind: What stands before each, as ``skipped``.
        level: The level of the log at which it is said.
    """

    def __init__(self, kind: str, level: int) -> None:
        self._kind, self._level = kind, level
        self._files: dict[str, list[str]] = {}

    def tell(self, file: str, sentence: str) -> None:
        """Say a sentence on a file, or keep its name where the same was said of another.

        Args:
            file: The file as it is shown.
            sentence: What is to be known of it, which names it.
        """
        # What is wrong may be in a file of another ending beside it.
        same = sentence.replace(echoed(file, 300), "").replace(f"{Path(file).with_suffix('')}.", ".")
        files = self._files.setdefault(same, [])
        files.append(echoed(file, 300))
        if len(files) == 1:
            self._say(f": {sentence}")

    def end(self) -> None:
        """Name the files of which something was true that was said of another."""
        for first, *others in self._files.values():
            if others:
                left = len(others) - MOST_NAMES
                names = ", ".join(others[:MOST_NAMES]) + (f" and {left:,} more" if left > 0 else "")
                self._say(f", as {first}: {counted_noun(len(others), 'more file')}: {names}")
        self._files = {}

    def _say(self, words: str) -> None:
        logger.log(self._level, f"{self._kind}{words}")
