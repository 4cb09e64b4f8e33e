"""Checks of what is installed and how this process was started: versions, variables, encoding, plug-ins, trackers."""

from __future__ import annotations

import locale
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec

from packaging.requirements import Requirement

from bench.api.checks import Check, Places
from bench.core.datasets import DATASETS
from bench.core.environment import OWN
from bench.core.log import LEVEL_VARIABLE
from bench.core.provenance import installed_version
from bench.core.registry import suggestion
from bench.core.text import echoed
from bench.engine.tracking import PACKAGES
from bench.experiment.plugins import load_entry_points

DISTRIBUTION = "lungbench"
PREFIX = "BENCH_"
OF_TESTS = "BENCH_TEST_"


def check_versions(places: Places) -> Check:
    """Compare the installed packages with what this one asks for, and import what fits together least often."""
    found = f"Python {platform.python_version()}, torch {installed_version('torch') or 'missing'}"
    try:
        asked = [Requirement(text) for text in requires(DISTRIBUTION) or ()]
    except PackageNotFoundError:
        return Check("versions", "ok", f"{found}; not installed as a package, so that versions are not compared")
    misfits = [misfit for one in asked if (misfit := _misfit(one)) is not None]
    if misfits:
        return Check("versions", "wrong", f"{found}; {'; '.join(misfits)}", f"pip install --upgrade {DISTRIBUTION}")
    try:
        import torchvision  # noqa: F401 - it is what is tried: timm needs it
    except (ImportError, RuntimeError, OSError) as error:
        return Check(
            "versions",
            "wrong",
            f"{found}; torchvision cannot be imported: {echoed(error, 200)}",
            "Install torch, torchvision and torchaudio from one index, so that they are builds of a kind.",
        )
    return Check("versions", "ok", f"{found}, all {len(asked)} requirements are met")


def _misfit(asked: Requirement) -> str | None:
    """What is wrong with an installed package; None for one that fits, or that belongs to an extra."""
    if asked.marker is not None and not asked.marker.evaluate({"extra": ""}):
        return None
    there = installed_version(asked.name)
    if there is None:
        return f"{asked.name} is missing"
    return (
        None if asked.specifier.contains(there, prereleases=True) else f"{asked.name} is {there}, not {asked.specifier}"
    )


def check_variables(places: Places) -> Check:
    """Look for variables that begin like this program's own, and are none: nobody reads them."""
    known = known_variables()
    # Each command sets that of the log itself, for the processes that it starts.
    given = sorted(name for name in os.environ if name.startswith(PREFIX) and name != LEVEL_VARIABLE)
    unknown = [name for name in given if name not in known and not name.startswith(OF_TESTS)]
    if unknown:
        meant = "; ".join(f"{echoed(name)}: {suggestion(name, known)}" for name in unknown)
        return Check("variables", "warning", f"{len(unknown)} that nobody reads: {meant}", "Mend or unset them.")
    words = f"{', '.join(given)} set" if given else f"none that begins with {PREFIX}"
    return Check("variables", "ok", words)


def known_variables() -> set[str]:
    """This program's variables, and for each data set that of its folder and that of the place it is fetched from."""
    cards = [entry.card for entry in DATASETS]
    folders = {card.environment for card in cards if card.environment is not None}
    return {*OWN, *folders, *(f"{PREFIX}{card.id.upper().replace('-', '_')}_URL" for card in cards)}


def check_encoding(places: Places) -> Check:
    """Look at the encodings of the terminal and of file names."""
    shown, names = places.encoding.lower(), sys.getfilesystemencoding().lower()
    found = f"output in {shown}, file names in {names}, locale {locale.setlocale(locale.LC_CTYPE)}"
    if "utf" not in names.replace("-", ""):
        return Check("encoding", "warning", found, "Set LC_ALL=C.UTF-8, or names of files with accents are not found.")
    if "utf" not in shown.replace("-", ""):
        return Check(
            "encoding",
            "warning",
            f"{found}: signs like λ are spelt out",
            "Set PYTHONIOENCODING=utf-8, or LC_ALL=C.UTF-8.",
        )
    return Check("encoding", "ok", found)


def check_plugins(places: Places) -> Check:
    """Look for installed plug-ins that cannot be used."""
    problems = load_entry_points()
    if problems:
        reasons = "; ".join(problem.reason for problem in problems)
        return Check("plug-ins", "warning", f"{len(problems)} cannot be used: {reasons}", "Update or uninstall them.")
    return Check("plug-ins", "ok", "none that is installed has a fault")


def check_trackers(places: Places) -> Check:
    """Look which trackers are installed."""
    there = [name for name, packages in PACKAGES.items() if all(find_spec(package) for package in packages)]
    return Check("trackers", "ok", f"{', '.join(there)} can be used" if there else "none is installed; none is needed")
