"""Where and how runs are carried out, as Python values or as words of a command line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.core.errors import SpecError
from bench.core.text import echoed

if TYPE_CHECKING:
    from bench.launch.jobs import LaunchOptions as LaunchOptions

_TIME = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
MOST_JOBS = 100_000
MOST_RETRIES = 1000


def launch_options(
    *,
    launcher: str = "local",
    jobs: int | None = None,
    devices: str | Sequence[str] | None = None,
    retries: int = 2,
    timeout: str | float | None = None,
    scheduler: str | None = None,
    slurm: Mapping[str, Any] | None = None,
) -> LaunchOptions:
    """Check what is asked for.

    Args:
        launcher: ``local``, ``slurm`` or ``dask``.
        jobs: How many runs at a time; None for one per device, or as many as the engine takes.
        devices: Of ``local``: names of GPUs or MIG instances, or ``cpu``, as a list or with commas between them.
        retries: How often a run whose process was lost is started again.
        timeout: After which time a run is ended: seconds, or a text with a unit (``90m``, ``2h``).
        scheduler: Of ``dask``: the address of the scheduler, or its file; None for what Dask itself is configured for.
        slurm: Of ``slurm``: options by name.

    Raises:
        SpecError: If there is no such launcher, a number is out of its range, or an option is another launcher's.
    """
    from bench.launch.executors import check_launcher
    from bench.launch.jobs import LaunchOptions

    check_launcher(launcher)
    _check_owner("slurm", slurm, launcher, "the options of Slurm jobs")
    _check_owner("dask", scheduler, launcher, "--scheduler")
    _check_owner("local", devices, launcher, "--devices")
    return LaunchOptions(
        launcher=launcher,
        jobs=None if jobs is None else _within("jobs", jobs, 1, MOST_JOBS),
        devices=None if devices is None else device_names(devices),
        retries=_within("retries", retries, 0, MOST_RETRIES),
        timeout=None if timeout is None else seconds_of(timeout),
        scheduler=scheduler,
        slurm={name: value for name, value in (slurm or {}).items() if value is not None},
    )


def _check_owner(owner: str, value: Any, launcher: str, what: str) -> None:
    if value and launcher != owner:
        raise SpecError(
            f"The launcher {launcher} has no use for {what}.", f"Use --launcher {owner}, or leave them out."
        )


def _within(name: str, value: int, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise SpecError(f"{name} is {echoed(repr(value))}, but must be a whole number from {low} to {high:,}.")
    return value


def device_names(devices: str | Sequence[str]) -> tuple[str, ...]:
    """Names of devices, of a list or of a text with commas; raises SpecError where there is none."""
    names = devices.split(",") if isinstance(devices, str) else [str(name) for name in devices]
    found = tuple(dict.fromkeys(name.strip() for name in names if name.strip()))
    if not found:
        raise SpecError("--devices names none.", "For example --devices 0,1, or cpu.")
    return found


def seconds_of(text: str | float) -> float:
    """A length of time in seconds: ``3600``, ``90m``, ``2h``.

    Raises:
        SpecError: If it is none, or not above 0.
    """
    read = _TIME.fullmatch(str(text).strip().lower())
    seconds = float(read[1]) * _SECONDS[read[2]] if read else 0.0
    if seconds <= 0:
        raise SpecError(f"--timeout is '{echoed(str(text))}', but must be like 2h, 90m or 3600 (seconds).")
    return seconds
