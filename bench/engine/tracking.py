"""Which trackers hear of a run: execution alone, which changes no result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from types import MappingProxyType

from bench.core.errors import SpecError
from bench.core.fields import execution_field
from bench.core.registry import suggestion
from bench.core.text import echoed

VARIABLE = "BENCH_TRACKER"
"""The environment's variable for the trackers of runs that name none."""

NO_TRACKER = "none"

PROJECT = "lungbench"
"""What trackers call all runs together; their own variables (``WANDB_PROJECT``, ``MLFLOW_EXPERIMENT_NAME``) overrule
it."""

PACKAGES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "tensorboard": ("tensorboard",),
        "wandb": ("wandb",),
        "mlflow": ("mlflow", "sqlalchemy"),
        "trackio": ("trackio",),
    }
)
"""What each tracker imports; the extra of this package that installs it has the tracker's name."""


@dataclass(frozen=True, kw_only=True)
class TrackingOptions:
    """The trackers of a run, and how often they hear of its losses."""

    tracker: str = execution_field(
        "trackers that hear of the run, with commas between them: tensorboard, wandb, mlflow, trackio; or none",
        NO_TRACKER,
        since=6,
    )
    tracker_every: int = execution_field(
        "steps after which trackers hear of the losses once more", 10, since=6, low=1, high=1_000_000
    )


def tracker_names(text: str) -> tuple[str, ...]:
    """The trackers that a text names.

    Args:
        text: Names with commas between them, or ``none``.

    Raises:
        SpecError: If there is no tracker of a name; a similar one is suggested.
    """
    names = dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip())
    names.pop(NO_TRACKER, None)
    for name in names:
        if name not in PACKAGES:
            raise SpecError(f"Unknown tracker '{echoed(name)}': {suggestion(name, (*PACKAGES, NO_TRACKER))}")
    return tuple(names)


def check_trackers(text: str, *, elsewhere: bool = False) -> None:
    """Check that trackers can be used here; none of them is imported.

    Args:
        text: As for :func:`tracker_names`.
        elsewhere: Whether another machine will use them, so that what is installed here does not matter.

    Raises:
        SpecError: If there is no such tracker, or its package is not installed.
    """
    for name in tracker_names(text):
        missing = [package for package in PACKAGES[name] if find_spec(package) is None]
        if missing and not elsewhere:
            raise SpecError(
                f"The tracker {name} needs the package {missing[0]}, which is not installed.",
                f"Install it with: pip install 'lungbench[{name}]', or go on without it: --tracker none.",
            )
