"""Where a result comes from: the code as it is on disk, and the packages."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.core.version import __version__

PACKAGES = (
    *("torch", "torchaudio", "torchvision", "timm", "transformers", "accelerate", "numpy", "soundfile", "sqlalchemy"),
    "optuna",
)
OWN_PACKAGES = ("bench", "baselines", "methods", "leaderboard")


def _run_git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _source_hash(root: Path) -> str:
    digest = hashlib.sha256()
    for package in OWN_PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@lru_cache(maxsize=1)
def code_version() -> dict[str, Any]:
    """The package's version, its own checkout's commit, whether that is modified, and a hash of its sources.

    ``commit`` and ``dirty`` are ``None`` where the package does not stand in its own git checkout; ``source_sha256``
    tells modified files apart everywhere.
    """
    root = Path(__file__).resolve().parents[2]
    commit, dirty = None, None
    top = _run_git(root, "rev-parse", "--show-toplevel")
    if top is not None and Path(top).resolve() == root:
        commit = _run_git(root, "rev-parse", "HEAD")
        status = _run_git(root, "status", "--porcelain", "--", *OWN_PACKAGES)
        dirty = None if status is None else bool(status)
    return {"version": __version__, "commit": commit, "dirty": dirty, "source_sha256": _source_hash(root)}


def installed_version(package: str) -> str | None:
    """The version of an installed package; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def package_versions() -> dict[str, str | None]:
    """Versions of Python and of the packages that numbers depend on."""
    return {"python": platform.python_version(), **{name: installed_version(name) for name in PACKAGES}}
