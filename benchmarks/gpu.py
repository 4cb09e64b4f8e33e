"""What only a GPU can show, in one script of at most ten minutes: speeds against the authors' way, and checks.

    python -m benchmarks.gpu --out gpu.json       # on a machine with a GPU; no network, no data
    python -m benchmarks.gpu --dry-run            # tiny, on a CPU: shows that the script works, and measures nothing

Each part is a process of its own with a time limit: one that fails leaves the others. Made-up pictures are trained on.
The exit code is 1 where a part failed or a check does not hold. None of its numbers has been measured yet.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import gpu_parts
from benchmarks.gpu_children import Facts, facts_or_failure, facts_within, use_one_thread
from benchmarks.gpu_parts import Size

CHECK = "ok: "


@dataclass(frozen=True)
class Part:
    """A part of the script.

    Attributes:
        body: Gives its facts.
        seconds: Its time limit.
    """

    body: Callable[[Size], Facts]
    seconds: float


PARTS = {
    "machine": Part(gpu_parts.machine, 45),
    "no waiting": Part(gpu_parts.no_waiting, 70),
    "flash attention": Part(gpu_parts.flash_attention, 45),
    "steps, batch 8": Part(gpu_parts.steps_of_8, 60),
    "steps, batch 64": Part(gpu_parts.steps_of_64, 90),
    "epoch": Part(gpu_parts.epoch, 90),
    "kill and resume": Part(gpu_parts.kill_and_resume, 60),
    "switches": Part(gpu_parts.switches, 80),
    "side by side": Part(gpu_parts.side_by_side, 60),
}
"""In this order, what matters most first; the limits come to ten minutes."""


def run_parts(parts: Mapping[str, Part], *, dry: bool) -> dict[str, Facts]:
    """Run parts one after the other.

    Args:
        parts: By name.
        dry: Whether to run them in this process, tiny and on the CPU.

    Returns:
        The facts of each, or why there are none as ``failed``.
    """
    found = {}
    for name, part in parts.items():
        sys.stderr.write(f"{name} (at most {part.seconds:.0f} s)\n")
        size = gpu_parts.dry_size() if dry else gpu_parts.full_size()
        use_one_thread(size.device)
        found[name] = facts_or_failure(part.body, size) if dry else facts_within(part.seconds, part.body, size)
    return found


def broken(found: Mapping[str, Facts]) -> list[str]:
    """Parts that failed, and checks that do not hold."""
    failed = [f"{name}: {facts['failed']}" for name, facts in found.items() if "failed" in facts]
    # What cannot be looked at without a GPU says so in words; a wait says where it was.
    checks = (
        (name, key, value) for name, facts in found.items() for key, value in facts.items() if key.startswith(CHECK)
    )
    return failed + [f"{name}, {key[len(CHECK) :]}: {value}" for name, key, value in checks if not _holds(value)]


def _holds(value: Any) -> bool:
    return value is True or value == gpu_parts.NO_GPU


def table_of(found: Mapping[str, Facts]) -> Table:
    """The facts as a table."""
    table = Table("part", "fact", "value")
    for name, facts in found.items():
        for key, value in facts.items():
            table.add_row(name, key, f"{value:.4g}" if isinstance(value, float) else str(value))
            name = ""
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description="What only a GPU can show.")
    parser.add_argument("--dry-run", action="store_true", help="tiny and on the CPU: shows that the script works")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the facts as JSON")
    parser.add_argument("--only", action="append", choices=tuple(PARTS), metavar="PART", help=", ".join(PARTS))
    given = parser.parse_args(arguments)
    chosen = {name: part for name, part in PARTS.items() if not given.only or name in given.only}
    found = run_parts(chosen, dry=given.dry_run)
    if given.out is not None:
        given.out.write_text(json.dumps({"dry_run": given.dry_run, "parts": found}, indent=2, default=str) + "\n")
    console = Console()
    console.print(table_of(found))
    wrong = broken(found)
    for line in wrong:
        console.print(line, markup=False)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
