"""Which plug-in files hold the code that a spec from outside was made with; nothing in them is run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.core.paths import expanded
from bench.experiment.plugins import needed_files
from bench.experiment.spec import RunSpec

__all__ = ["RunSpec", "files_to_allow", "named_files"]


def named_files(spec: RunSpec, named: Sequence[Path]) -> tuple[str, ...]:
    """The files that a user named for a spec, as absolute paths.

    Raises:
        SpecError: If a file cannot be read, or the code that the spec needs is in none of them.
    """
    needed_files(spec, named)
    return tuple(str(expanded(path).resolve()) for path in named)


def files_to_allow(spec: RunSpec) -> dict[str, Path]:
    """The files, by version, that a spec from outside itself names, and whose code it needs.

    Raises:
        SpecError: If a file cannot be read, or the code is in none of them.
    """
    return needed_files(spec, spec.plugins)
