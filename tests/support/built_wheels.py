"""Builds the wheel and the source distribution as ``pip`` and ``build`` do, in a copy of the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("baselines", "bench", "leaderboard", "methods")
BUILT_FROM = ("LICENSE", "MANIFEST.in", "README.md", "pyproject.toml")
"""Files beside the packages that a build reads."""

NOT_PACKAGED = frozenset({".pyc", ".pyo", ".so"})


def copy_sources(folder: Path) -> Path:
    """Copy what the distributions are built from, so that a build leaves nothing in the checkout."""
    folder.mkdir(parents=True)
    for name in BUILT_FROM:
        shutil.copy(ROOT / name, folder)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    return folder


def source_files(folder: Path) -> set[str]:
    """Every file of the packages below a folder, relative to it."""
    found = (path for name in PACKAGES for path in (folder / name).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix() for path in found if path.suffix not in NOT_PACKAGED}


def build(kind: str, folder: Path, out: Path) -> Path:
    """Build a distribution with the setuptools that is installed.

    Args:
        kind: ``wheel`` or ``sdist``.
        folder: The sources.
        out: The folder that it is put into.

    Returns:
        The file.
    """
    out.mkdir(parents=True, exist_ok=True)
    code = f"import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(out)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = out.iterdir()
    return file


def unpack_sdist(file: Path, out: Path) -> Path:
    """Unpack a source distribution; gives its only folder."""
    with tarfile.open(file) as archive:
        archive.extractall(out, filter="data")
    (folder,) = out.iterdir()
    return folder


def contents(wheel: Path) -> dict[str, bytes]:
    """What a wheel holds, by name."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
