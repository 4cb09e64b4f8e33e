"""Plug-ins: what a file (``--plugin FILE.py``) or an installed package adds to the project.

These are models, methods, front-ends, data sets and systems. A file is imported under a private module name,
so that two files of one name do not meet; every :class:`bench.core.registry.Registration` that it holds goes to the
registry that its card belongs to. Packages declare theirs as entry points, which the registries look up themselves.
What a plug-in needs to describe itself is in :mod:`bench.plugins`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.core.cards import Card, FrontEndCard, MethodCard, ModelCard, RunnableCard
from bench.core.datasets import DatasetCard
from bench.core.documents import read_bytes
from bench.core.errors import BenchError, RegistryError, ResultError, RunError, SpecError
from bench.core.paths import expanded
from bench.core.registry import GUIDE, EntryPointProblem, Registration, Registry
from bench.core.text import echoed
from bench.experiment.registries import SYSTEMS, registries
from bench.experiment.spec import RunSpec

FILE_LIMIT = 2**20
"""Bytes of a plug-in, at most; the largest ones known have some thousand."""

OWNER_OF: Mapping[type[Card], str] = {
    ModelCard: "model",
    MethodCard: "method",
    FrontEndCard: "frontend",
    DatasetCard: "dataset",
}
"""The spec's word for the thing that a card of each type describes."""

FILE_VERSION = "sha256:"
"""Beginning of the version of a plug-in file, a hash; the version of a package is its name and version."""

_loaded: dict[Path, str] = {}


def load_plugins(files: Iterable[str | Path]) -> tuple[str, ...]:
    """Import files and register what they offer; a file that is loaded already is left as it is.

    Args:
        files: Python files.

    Returns:
        Their absolute paths, each once.

    Raises:
        SpecError: If a file is missing, cannot be imported, or offers nothing; file and line are named.
        RegistryError: If an id is taken; both origins are named.
    """
    paths = tuple(dict.fromkeys(expanded(file).resolve() for file in files))
    for path in paths:
        _load_plugin(path)
    return tuple(str(path) for path in paths)


def load_entry_points() -> list[EntryPointProblem]:
    """Look up the entry points of all registries, which they do by themselves when they are first asked.

    Returns:
        Those that cannot be used.
    """
    return [problem for registry in (*registries().values(), SYSTEMS) for problem in registry.problems()]


def extensions(model: str, method: str, frontend: str, dataset: str) -> dict[str, str]:
    """The part of a run's identity that says which code its plug-ins had.

    Args:
        model: Id of the model.
        method: Id of the method.
        frontend: Id of the front-end.
        dataset: Id of the data set.

    Returns:
        Versions by owner (``model``, ``method``, ``frontend``, ``dataset``); nothing of what is built in.

    Raises:
        RegistryError: If an id is unknown.
    """
    ids = {"model": model, "method": method, "frontend": frontend, "dataset": dataset}
    versions = {owner: registry.get(ids[owner]).version for owner, registry in registries().items()}
    return {owner: version for owner, version in versions.items() if version is not None}


def file_version(path: str | Path) -> str:
    """The version of a plug-in file, a hash of its content; nothing in it is run.

    Raises:
        SpecError: If it cannot be read, or is no file of a plug-in's size.
    """
    return _version_of_code(_read_code(expanded(path)))


def needed_files(spec: RunSpec, files: Iterable[str | Path]) -> dict[str, Path]:
    """Which of some files hold the code that a spec was made with, by their content; nothing in them is run.

    Args:
        spec: A complete spec, possibly from outside.
        files: Files that a user or the spec names.

    Returns:
        The files by version, as ``extensions`` of the spec has it; nothing where the spec needs no file.

    Raises:
        SpecError: If a file cannot be read, or the code that the spec needs is in none of them.
    """
    wanted = {owner: version for owner, version in spec.extensions.items() if version.startswith(FILE_VERSION)}
    if not wanted:
        return {}
    found = {file_version(path): path.resolve() for path in map(expanded, files)}
    for owner, version in wanted.items():
        if version not in found:
            raise _other_code_error(owner, getattr(spec, owner), version, found)
    return {version: found[version] for version in wanted.values()}


def _other_code_error(owner: str, name: str, wanted: str, found: Mapping[str, Path]) -> SpecError:
    kind = registries()[owner].kind
    if not found:
        return SpecError(
            f"The run's {kind} '{name}' comes from a plug-in ({wanted}) that is not here.",
            "Install its package, or name its file with --plugin.",
        )
    there = ", ".join(f"{version} ({path})" for version, path in found.items())
    return SpecError(
        f"The run's {kind} '{name}' was {wanted}, but the one here is {there}.",
        "Use the code that the run was made with, or start a new run with this one.",
    )


def load_plugins_of(spec: RunSpec) -> None:
    """Load the plug-ins of a spec, and make sure that they are those which it was made with.

    A file is looked at before its code is run: one that is not what the spec was made with is left alone. Whether the
    code may be run at all is for the caller to know: a command asks its user (``bench.cli.consent``), and the processes
    that it starts go on with what it was told.

    Args:
        spec: A complete spec, possibly read from a file.

    Raises:
        SpecError: If a plug-in is missing, broken, or not the one of the spec.
        RegistryError: If an id is unknown.
    """
    for version, path in needed_files(spec, spec.plugins).items():
        _load_plugin(path, version)
    for owner, registry in registries().items():
        _check_version(registry, getattr(spec, owner), spec.extensions.get(owner))


def plugin_failure(error: BaseException, files: Iterable[str | Path]) -> RunError | None:
    """Tell an error in the code of a plug-in as one.

    Args:
        error: What was raised during a run.
        files: The run's plug-ins.

    Returns:
        An error that names file and line, or None where no plug-in had a part in it.
    """
    for file in files:
        line = _line_of_error(error, str(file))
        if line is not None:
            return RunError(
                f"The plug-in {file}, line {line}, failed: {_error_text(error)}.",
                "`bench --debug …` shows the traceback; `bench mock-run --plugin` checks one part after the other.",
            )
    return None


def _check_version(registry: Registry[Any], name: str, wanted: str | None) -> None:
    what = f"The run's {registry.kind} '{name}'"
    if wanted is not None and name not in registry:
        raise SpecError(
            f"{what} comes from a plug-in ({wanted}) that is not here.",
            "Install its package, or name its file with --plugin.",
        )
    entry = registry.get(name)
    if entry.version != wanted:
        there = f"{entry.version} ({entry.origin})" if entry.version else "built in"
        raise SpecError(
            f"{what} was {wanted or 'built in'}, but the one here is {there}.",
            "Use the code that the run was made with, or start a new run with this one.",
        )


def _load_plugin(path: Path, wanted: str | None = None) -> None:
    code = _read_code(path)
    version = _version_of_code(code)
    if wanted is not None and version != wanted:
        raise SpecError(f"The plug-in {path} changed while it was opened.", "Run the command again.")
    if path in _loaded:
        if _loaded[path] != version:
            raise SpecError(f"The plug-in {path} changed after it was loaded.", "Start a new process.")
        return
    found = [item for item in vars(_run_as_module(path, code)).values() if isinstance(item, Registration)]
    if not found:
        raise SpecError(f"The plug-in {path} holds no Registration at its top level.", GUIDE)
    for item in dict.fromkeys(found):
        registry = _registry_of(item, path)
        registry.add(item.card.id, item.card, item.build, origin=str(path), version=version)
    _loaded[path] = version


def _version_of_code(code: bytes) -> str:
    return f"{FILE_VERSION}{hashlib.sha256(code).hexdigest()[:16]}"


def _read_code(path: Path) -> bytes:
    try:
        return read_bytes(path, FILE_LIMIT, "a plug-in")
    except ResultError as error:
        raise SpecError(error.message, "Name a Python file with --plugin.") from None


def _run_as_module(path: Path, code: bytes) -> ModuleType:
    """Run the bytes that were hashed as a module, which dataclasses and pickle find under its name."""
    name = f"lungbench_plugin_{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}"
    # Any file is taken as Python, whatever its name ends with.
    place = importlib.util.spec_from_loader(name, loader=None, origin=str(path))
    assert place is not None
    module = importlib.util.module_from_spec(place)
    module.__file__ = str(path)
    sys.modules[name] = module
    try:
        exec(compile(code, path, "exec", dont_inherit=True), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        line = _line_of_error(error, str(path))
        where = f"The plug-in {path}, line {line}" if line else f"The plug-in {path}"
        raise SpecError(f"{where}: {_error_text(error)}.", getattr(error, "hint", None)) from error
    return module


def _line_of_error(error: BaseException, file: str) -> int | None:
    """The line of a file where an error began, as near to it as the file is."""
    if isinstance(error, SyntaxError) and error.filename == file:
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return lines[-1] if lines else None


def _error_text(error: BaseException) -> str:
    if isinstance(error, BenchError):
        return error.message.rstrip(".")
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    first = text.strip().partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {echoed(first, 300)}" if first else type(error).__name__


def _registry_of(registration: Registration, path: Path) -> Registry[Any]:
    if isinstance(registration.card, RunnableCard):
        return SYSTEMS
    for kind, owner in OWNER_OF.items():
        if isinstance(registration.card, kind):
            return registries()[owner]
    kind_name = type(registration.card).__name__
    raise RegistryError(f"The plug-in {path} has a {kind_name}, which no registry takes.", GUIDE)
