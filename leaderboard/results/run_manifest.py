"""A run folder as others are given it: which of its files belong to it, and the hash of each.

``manifest.json`` beside them holds the hashes. A folder that was fetched is read only after all of them were checked.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.documents import read_document
from bench.core.errors import ResultError
from bench.core.files import file_sha256
from bench.core.text import echoed
from leaderboard.results.publishing import published_document, without_places
from leaderboard.results.run_folder import (
    CYCLES_FILE,
    FRONTEND_FILE,
    RESULT_FILE,
    SPEC_FILE,
    WEIGHTS_FOLDER,
    RunFolder,
    predictions_file,
)
from leaderboard.results.schema import RULES

MANIFEST = "manifest.json"
FORMAT = "lungbench run"
VERSION = 1

CARD = "README.md"
"""The card. It is for people, who may edit it on the Hub: the manifest holds no hash of it."""

PATTERNS = (
    *(MANIFEST, CARD, SPEC_FILE, RESULT_FILE, CYCLES_FILE, predictions_file("*")),
    *(FRONTEND_FILE, f"{WEIGHTS_FOLDER}/*.safetensors"),
)
"""Names of the files of a run that is given to others, with ``*``; nothing else of a repository is fetched."""

_NAMED = (SPEC_FILE, RESULT_FILE, CYCLES_FILE, FRONTEND_FILE, *map(predictions_file, RULES))
_WEIGHTS = rf"{WEIGHTS_FOLDER}/({'|'.join(RULES)}|stage-[0-9]{{1,4}})(\.method)?\.safetensors"
_FILE = re.compile("|".join([*map(re.escape, _NAMED), _WEIGHTS]))
_NEEDED = (SPEC_FILE, RESULT_FILE)
_RUN_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class GivenRun:
    """The files of a run as others are given them.

    Attributes:
        run_id: Id of the run.
        files: Files of the folder, or the content of those that are changed, by name; the manifest is one of them.
    """

    run_id: str
    files: Mapping[str, Path | bytes]

    def sizes(self) -> dict[str, int]:
        """Bytes of each file, by name."""
        return {name: _size(each) for name, each in self.files.items()}


def given_run(folder: RunFolder, *, labels: bool = True) -> GivenRun:
    """Gather the files of a finished run: spec, result, predictions, weights, and what its front-end learnt.

    States of optimisers, logs and locks are no part of it, and neither are the paths of this machine.

    Args:
        folder: The run's folder.
        labels: Whether the judged cycles with their labels are among them.

    Raises:
        ResultError: If the result cannot be read.
    """
    document = folder.read_document()
    spec = read_document(folder.spec)
    files: dict[str, Path | bytes] = {name: folder.path / name for name in files_of_run(folder.path)}
    files[folder.spec.name] = _json({**spec, "execution": without_places(spec["execution"])})
    files[RESULT_FILE] = _json(published_document(document))
    if not labels:
        files.pop(CYCLES_FILE, None)
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "run_id": document["run_id"],
        "files": {name: {"sha256": _sha256(each), "bytes": _size(each)} for name, each in sorted(files.items())},
    }
    return GivenRun(document["run_id"], {**files, MANIFEST: _json(manifest)})


def check_given_run(folder: Path) -> str:
    """Check every file of a fetched run against its manifest.

    Returns:
        The id of the run.

    Raises:
        ResultError: If the manifest is none, or a file is missing, is not the one that it names, is not named by it, or
            has a name that no file of a run has.
    """
    manifest = read_document(folder / MANIFEST)
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict) or manifest.get("format") != FORMAT:
        raise ResultError(f"{MANIFEST} is not that of a run")
    if manifest.get("version") != VERSION:
        raise ResultError(f"{MANIFEST} has the form {echoed(manifest.get('version'))}, but {VERSION} is read here")
    if not _RUN_ID.fullmatch(str(manifest.get("run_id"))):
        raise ResultError(f"{MANIFEST} names no run")
    for name in sorted({*_NEEDED, *files_of_run(folder)} - files.keys()):
        raise ResultError(f"{MANIFEST} does not name {name}")
    for name, said in files.items():
        _check_file(folder, name, said)
    given = str(manifest["run_id"])
    found = RunFolder(folder).read_document()["run_id"]
    if found != given:
        raise ResultError(f"{MANIFEST} is that of the run {given}, but {RESULT_FILE} is that of {found}")
    return given


def files_of_run(folder: Path) -> list[str]:
    """Names of the files in a folder that belong to a run, by which they are sorted; the manifest is none of them."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return sorted(name for path in paths if _FILE.fullmatch(name := path.relative_to(folder).as_posix()))


def is_file_of_run(name: str) -> bool:
    """Whether a file of a repository belongs to a run that is given to others."""
    return name == MANIFEST or _FILE.fullmatch(name) is not None


def run_of_manifest(content: bytes) -> str | None:
    """The id of the run that a manifest names; None where it is not that of a run."""
    try:
        manifest = json.loads(content)
    except ValueError:
        return None
    is_one = isinstance(manifest, dict) and manifest.get("format") == FORMAT
    return str(manifest.get("run_id")) if is_one else None


def _check_file(folder: Path, name: str, said: Any) -> None:
    if not _FILE.fullmatch(name):
        raise ResultError(f"{MANIFEST} names '{echoed(name)}', which no run has")
    path = folder / name
    if not path.is_file():
        raise ResultError(f"{name} is missing")
    found = _sha256(path)
    if not isinstance(said, dict) or said.get("sha256") != found:
        raise ResultError(f"{name} has not the hash that {MANIFEST} gives")


def _json(document: Any) -> bytes:
    return (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _size(file: Path | bytes) -> int:
    return len(file) if isinstance(file, bytes) else file.stat().st_size


def _sha256(file: Path | bytes) -> str:
    return hashlib.sha256(file).hexdigest() if isinstance(file, bytes) else file_sha256(file)
