"""Code that a document names runs only where the user names it too, or says yes to its path and hash."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bench.core.errors import SpecError
from bench.core.paths import expanded
from bench.core.text import plain
from bench.experiment.plugins import needed_files
from bench.experiment.spec import RunSpec

Allow = Callable[[str, Path], bool]
"""Given a plug-in's version and its file, says whether its code may be run."""


def agreed_plugins(spec: RunSpec, named: Sequence[Path] | None, allow: Allow) -> tuple[str, ...]:
    """The plug-in files that a spec from outside may load.

    Args:
        spec: The spec; its ``plugins`` and ``extensions`` come from the document.
        named: What the user named; the spec's own list does not matter then.
        allow: Asked for each file that the spec alone names.

    Returns:
        Absolute paths, none of which has been run yet.

    Raises:
        SpecError: If the code that the spec needs is in none of the files, or the user neither named nor allowed it.
    """
    if named:
        needed_files(spec, named)
        return tuple(str(expanded(path).resolve()) for path in named)
    needed = needed_files(spec, spec.plugins)
    refused = [path for version, path in needed.items() if not allow(version, path)]
    if refused:
        raise SpecError(
            f"The spec names code to run ({', '.join(map(plain, refused))}), and nobody here has asked for that code.",
            f"Look at it; to run it, add {' '.join(f'--plugin {plain(path)}' for path in refused)}",
        )
    return tuple(map(str, needed.values()))
