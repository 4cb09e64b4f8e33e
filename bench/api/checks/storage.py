"""Checks of disks and of what is on them: data, weights, results, the board, locks, room, and the clock."""

from __future__ import annotations

import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import baselines
from baselines.downloads import is_kept
from bench.api.checks import Check, Places, existing
from bench.core.datasets import DATASETS
from bench.core.errors import StoreError
from bench.core.files import check_writable, temporary_name
from bench.core.locks import kind_of_lock
from bench.core.mounts import mount_of
from bench.core.paths import board_location, has_board
from bench.data.location import held_set
from bench.data.sources import dataset_folder
from bench.launch.smoke import try_lock
from leaderboard.store.store import Store

MODEL = "ast"
"""The model of the main job, whose weights are asked for."""

GIB = 2**30
RUN_GIB = 3.0
"""What a run of AST takes while it trains: its weights (0.35 GB) two or three times, and two states of 1.05 GB while
one takes the other's place."""
CACHE_GIB = 4.0
"""Features of ICBHI for AST (2.8 GB), its weights (0.35 GB), and room to unpack."""
FULL_GIB = 0.5
CHECK_SECONDS = 3.0
"""How long the board is looked through for damage."""

SKEW_SECONDS = 5.0
"""By which the clocks of this machine and of its disk may differ: two commands agree on who is alive by them."""
OLDEST_YEAR = 2025


def check_data(places: Places) -> Check:
    """See which data set the folder of the data holds."""
    primary = DATASETS.primary().card
    folder = dataset_folder(primary, places.data)
    held = held_set(folder)
    if held is not None:
        return Check("data", "ok", f"{held.title} in {folder}; `bench data verify` compares every file")
    return Check(
        "data",
        "warning",
        f"no data set below {folder}: runs take the simulated set",
        "Fetch one with `bench data fetch`, or name its folder with --data or BENCH_DATA.",
    )


def check_weights(places: Places) -> Check:
    """See whether the pretrained weights of the main model are in the cache."""
    card = baselines.MODELS.card(MODEL)
    known = card.weights[card.default_pretrain]
    folder = places.cache / "weights"
    words = f"those of {MODEL} ({card.default_pretrain})"
    if is_kept(known.location, folder):
        return Check("weights", "ok", f"{words} are in {folder}")
    if held_set(dataset_folder(DATASETS.primary().card, places.data)) is None:
        return Check("weights", "ok", f"{words} are not in {folder}, and simulated data need none")
    return Check(
        "weights",
        "warning",
        f"{words} are not in {folder}",
        "The first run on real data fetches them. Without a connection its message says which file to put where; "
        "--pretrain none trains without.",
    )


def check_results(places: Places) -> Check:
    """Write into the results folder, or into the folder that it would be made in."""
    place = _place_of(places.home, "--home")
    check_writable(place)
    mount = mount_of(place)
    kind = "a file system of unknown kind" if mount is None else mount.kind
    shared = " (shared by machines)" if mount is not None and mount.is_network else ""
    made = "" if place == places.home.absolute() else ", which the first run makes"
    return Check("results", "ok", f"{places.home}{made}: can be written, on {kind}{shared}")


def check_cache(places: Places) -> Check:
    """Write into the cache folder, or into the folder that it would be made in."""
    place = _place_of(places.cache, "--cache")
    try:
        check_writable(place)
    except StoreError as error:
        # One that was filled before and is kept read-only serves, as long as nothing else is needed.
        advice = "See that it holds the features and weights that runs need, or name another with --cache."
        return Check("cache", "warning", error.message, advice)
    made = "" if place == places.cache.absolute() else ", which the first use makes"
    return Check("cache", "ok", f"{places.cache}{made}: can be written")


def _place_of(folder: Path, option: str) -> Path:
    """The folder, or the one that it would be made in; raises StoreError where a file is in the way."""
    in_the_way = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not in_the_way.is_dir():
        raise StoreError(f"{folder} cannot be made: {in_the_way} is no folder.", f"Name another with {option}.")
    return existing(folder)


def check_board(places: Places) -> Check:
    """Open the board, compare its version, write to it as it is, and look for damage."""
    if not has_board():
        return Check("board", "ok", "none: BENCH_STORE is 'none', and results wait in run folders")
    database = Store.open(board_location(places.home)).database
    mount = None if database.path is None else mount_of(database.path.parent)
    if mount is not None and mount.is_network:
        return Check(
            "board",
            "warning",
            f"{database} would be SQLite on {mount.kind}, which machines share",
            "Keep it in PostgreSQL, or have one machine keep it (docs/several-machines.md).",
        )
    version = database.version()
    if version is None:
        return Check("board", "ok", f"{database}: not there yet, the first result makes it")
    database.check(version)
    database.check_writable()
    faults = database.faults(CHECK_SECONDS)
    if faults:
        return Check(
            "board", "wrong", f"{database} is damaged: {'; '.join(faults)}", "Make it anew: bench board rebuild"
        )
    whole = "" if faults is None else ", no damage"
    return Check("board", "ok", f"{database}: version {version}, can be written{whole}")


def check_locks(places: Places) -> Check:
    """Have another process wait for a lock in the results folder."""
    place = existing(places.home)
    try_lock(place)
    kind = kind_of_lock(place)
    if kind == "flock":
        return Check("locks", "ok", "another process waited for ours (flock)")
    return Check(
        "locks",
        "warning",
        f"another process waited for ours ({kind})",
        "Have the file system mounted with flock for all machines where that is possible (Lustre: -o flock).",
    )


def check_room(places: Places) -> Check:
    """Compare what is free with what a run of AST on ICBHI takes."""
    needs: dict[int, tuple[Path, float]] = {}
    for folder, gib in ((existing(places.home), RUN_GIB), (existing(places.cache), CACHE_GIB)):
        device = folder.stat().st_dev
        needs[device] = folder, gib + needs.get(device, (folder, 0.0))[1]
    free = {folder: shutil.disk_usage(folder).free / GIB for folder, _ in needs.values()}
    found = "; ".join(f"{free[folder]:.1f} GiB free in {folder}" for folder in free)
    short = [f"{gib:g} GiB in {folder}" for folder, gib in needs.values() if free[folder] < gib]
    if not short:
        return Check("room", "ok", found)
    full = any(room < FULL_GIB for room in free.values())
    takes = f"A run of {MODEL} on {DATASETS.primary().card.short_title} takes up to {' and '.join(short)}"
    advice = f"{takes}: make room, or name other folders (--home, --cache)."
    return Check("room", "wrong" if full else "warning", found, advice)


def check_clock(places: Places) -> Check:
    """Compare the clock with that of the results folder's disk."""
    now = datetime.now(UTC).astimezone()
    zone = f"{now:%Y-%m-%d %H:%M %Z}"
    if now.year < OLDEST_YEAR:
        return Check("clock", "wrong", f"it is {zone}, by this machine", "Set the clock: results carry its time.")
    skew = _skew(existing(places.home))
    if abs(skew) > SKEW_SECONDS:
        word = "ahead of" if skew > 0 else "behind"
        return Check(
            "clock",
            "warning",
            f"{zone}; the disk's clock is {abs(skew):.0f} s {word} this machine's",
            "Have both follow one time server (NTP): machines that share a folder see by it whether a run lives.",
        )
    return Check("clock", "ok", f"{zone}; the disk agrees")


def _skew(folder: Path) -> float:
    """Seconds by which the time that a new file gets is ahead of this machine's clock."""
    probe = temporary_name(folder / "clock-check")
    before = time.time()
    try:
        probe.touch()
        written, after = probe.stat().st_mtime, time.time()
    finally:
        probe.unlink(missing_ok=True)
    # A file system may keep whole seconds alone.
    return min(written - before + 1.0, 0.0) if written < before else max(written - after, 0.0)
