"""What is remembered of a tracker from one start of a run to the next: which run of its own it is, and what it heard.

A run that was killed goes on from a state that is older than what its trackers have heard: they hear nothing twice.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.core.files import temporary_name


@dataclass
class TrackerMemory:
    """What a tracker knows of a run.

    Attributes:
        run: The tracker's own name for the run; None before it has begun.
        step: The last step that it has heard of, counted over all epochs.
        epoch: The last epoch that it has heard of.
    """

    run: str | None = None
    step: int = 0
    epoch: int = 0

    def write(self, path: Path) -> None:
        """Write it in one step; raises OSError where it cannot be written."""
        temporary = temporary_name(path)
        temporary.write_text(json.dumps(asdict(self)), encoding="utf-8")
        temporary.replace(path)


def read_memory(path: Path) -> TrackerMemory:
    """Read what is remembered; nothing where there is no such file, or one that nobody can read."""
    try:
        found = TrackerMemory(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return TrackerMemory()
    kinds = (found.run is None or isinstance(found.run, str), isinstance(found.step, int), isinstance(found.epoch, int))
    return found if all(kinds) else TrackerMemory()
