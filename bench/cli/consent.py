"""Code that a document names runs only where the user names it too, or says yes to its path and hash."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import typer

from bench.core.errors import SpecError
from bench.core.text import plain

if TYPE_CHECKING:
    from bench.api.plugin_files import RunSpec

logger = logging.getLogger(__name__)


def agreed_plugins(spec: RunSpec, named: Sequence[Path] | None, output: str) -> tuple[str, ...]:
    """The plug-in files that a spec from outside may load.

    Args:
        spec: The spec; its ``plugins`` and ``extensions`` come from the document.
        named: What the user named with --plugin; the spec's own list does not matter then.
        output: ``table`` or ``json``; a script that reads JSON is never asked.

    Returns:
        Absolute paths, none of which has been run yet.

    Raises:
        SpecError: If the code that the spec needs is in none of the files, or the user neither named nor allowed it.
    """
    from bench.api.plugin_files import files_to_allow, named_files

    if named:
        return named_files(spec, named)
    needed = files_to_allow(spec)
    refused = [path for version, path in needed.items() if not _allowed(version, path, output)]
    if refused:
        raise SpecError(
            f"The spec names code to run ({', '.join(map(plain, refused))}), and nobody here has asked for that code.",
            f"Look at it; to run it, add {' '.join(f'--plugin {plain(path)}' for path in refused)}",
        )
    return tuple(map(str, needed.values()))


def _is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody reads and writes there; a stream may be missing or closed."""
    return stream is not None and not stream.closed and stream.isatty()


def _allowed(version: str, path: Path, output: str) -> bool:
    """Ask on a terminal; anywhere else the answer is no."""
    if output == "json" or not (_is_terminal(sys.stdin) and _is_terminal(sys.stderr)):
        return False
    logger.info(f"the spec names a plug-in, whose code would be run: {plain(path)} ({version})")
    return typer.confirm("Run it?", default=False, err=True)
