"""Asks on a terminal whether a plug-in may be run that only a document names."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import typer

from bench.core.text import plain

logger = logging.getLogger(__name__)


def asked_on_terminal(output: str) -> Callable[[str, Path], bool]:
    """What asks for the user's consent; anywhere but on a terminal the answer is no.

    Args:
        output: ``table`` or ``json``; a script that reads JSON is never asked.
    """

    def allow(version: str, path: Path) -> bool:
        if output == "json" or not (_is_terminal(sys.stdin) and _is_terminal(sys.stderr)):
            return False
        logger.info(f"the spec names a plug-in, whose code would be run: {plain(path)} ({version})")
        return typer.confirm("Run it?", default=False, err=True)

    return allow


def _is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody reads and writes there; a stream may be missing or closed."""
    return stream is not None and not stream.closed and stream.isatty()
