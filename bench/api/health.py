"""What this machine has, and what of it a run would use."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.api.checks import VERDICTS as VERDICTS
from bench.api.checks import Check as Check
from bench.api.checks import Examination, Places, examined, existing, software, storage
from bench.api.checks import hardware as machinery
from bench.api.checks import worst as worst
from bench.api.speed import measure_speed
from bench.core.datasets import DATASETS
from bench.core.errors import StoreError
from bench.core.locks import kind_of_lock
from bench.core.mounts import mount_of
from bench.core.paths import board_location, cache_folder, home_place
from bench.core.progress import counted
from bench.core.provenance import code_version, package_versions
from bench.data.location import held_set
from bench.data.sources import dataset_folder
from bench.engine.hardware import hardware
from bench.experiment.cpu_precision import PrecisionChoice
from bench.experiment.devices import choose_device, precision_choice
from bench.experiment.plugins import load_entry_points
from bench.experiment.registries import registries
from bench.experiment.settings import PROFILE_RECIPES
from leaderboard.store.store import Store


def examine_machine(
    home: Path | None = None, data: Path | None = None, cache: Path | None = None, *, speed: bool = False
) -> dict[str, dict[str, Any]]:
    """Look at versions, hardware, folders and plug-ins, and at what ``auto`` chooses here.

    Args:
        home: The results folder.
        data: Folder of the data.
        cache: The cache folder.
        speed: Whether a section ``speed`` is measured too, which takes some seconds.

    Returns:
        The document that ``bench doctor --format json`` prints: facts by section and name.
    """
    device = choose_device("auto")
    precision = precision_choice("auto", device, cache_folder(cache))
    folder = dataset_folder(DATASETS.primary().card, data)
    held = held_set(folder)
    problems = load_entry_points()
    installed = [entry for registry in registries().values() for entry in registry if entry.version is not None]
    return {
        "code": code_version(),
        "packages": package_versions(),
        "hardware": hardware(),
        "folders": {
            "results": str(home_place(home)),
            "board": _board(home_place(home)),
            "file system": _file_system(home_place(home)),
            "locks": _locks(home_place(home)),
            "data": str(folder),
            "data found": held is not None,
            "cache": str(cache_folder(cache)),
        },
        "plug-ins": {
            "installed": [f"{entry.id} ({entry.origin})" for entry in installed],
            "not usable": [problem.reason for problem in problems],
        },
        "auto": _choices((held or DATASETS.simulated().card).profile, device, precision),
        **({"speed": measure_speed()} if speed else {}),
    }


EXAMINATIONS: Mapping[str, Examination] = {
    "versions": software.check_versions,
    "devices": machinery.check_devices,
    "bf16": machinery.check_bf16,
    "tf32": machinery.check_tf32,
    "processes": machinery.check_processes,
    "data": storage.check_data,
    "weights": storage.check_weights,
    "results": storage.check_results,
    "cache": storage.check_cache,
    "board": storage.check_board,
    "locks": storage.check_locks,
    "room": storage.check_room,
    "clock": storage.check_clock,
    "variables": software.check_variables,
    "encoding": software.check_encoding,
    "plug-ins": software.check_plugins,
    "trackers": software.check_trackers,
}
"""What is looked at, in the order in which it is told."""

SLOW = frozenset({"processes", "locks"})
"""What starts processes, and takes seconds."""


UNTOLD_SECONDS = 2.0
"""For a shorter wait nobody needs to be told how far it is."""


def check_machine(
    home: Path | None = None, data: Path | None = None, cache: Path | None = None, *, quick: bool = False
) -> list[Check]:
    """Judge this machine, part by part: a verdict on each, and what to do.

    Args:
        home: The results folder.
        data: Folder of the data.
        cache: The cache folder.
        quick: Whether what starts processes is left out.
    """
    # Asked for before a bar of progress takes the stream over; one without an encoding takes every character.
    places = Places(home_place(home), data, cache_folder(cache), sys.stdout.encoding or "utf-8")
    asked = {name: each for name, each in EXAMINATIONS.items() if not (quick and name in SLOW)}
    found: list[Check] = []
    began = time.monotonic()
    with counted("checks") as update:
        for name, examination in asked.items():
            if time.monotonic() - began > UNTOLD_SECONDS:
                update("looking at this machine", len(found), len(asked))
            found.append(examined(name, examination, places))
    return found


def _choices(profile: str, device: str, precision: PrecisionChoice) -> dict[str, Any]:
    """What ``auto`` is here, and why; also that a profile takes another precision all the same."""
    own = PROFILE_RECIPES.get(profile, {}).get("precision", precision.precision)
    exception = None if own == precision.precision else f"runs of the profile {profile} take {own} all the same"
    why = "; ".join(filter(None, (precision.reason, exception)))
    found = {"profile": profile, "device": device, "precision": precision.precision}
    return {**found, "why": why} if why else found


def _file_system(home: Path) -> str:
    """The kind of file system that the results folder is on, and what follows from it."""
    mount = mount_of(home)
    if mount is None:
        return "not known"
    if not mount.is_network:
        return f"{mount.kind} (of this machine)"
    return f"{mount.kind} (shared by machines; not for a board in SQLite)"


def _locks(home: Path) -> str:
    """How runs are locked in the results folder, or would be in the nearest folder that is there."""
    return kind_of_lock(existing(home))


def _board(home: Path) -> str:
    """Where the board is, without its password."""
    try:
        return str(Store.open(board_location(home)))
    except StoreError as error:
        return error.message
