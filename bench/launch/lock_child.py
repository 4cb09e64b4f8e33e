"""The process that waits for a lock which another one holds, for ``bench doctor``; it says so, takes it and ends."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.locks import exclusive_lock

if TYPE_CHECKING:
    from bench.launch.child_process import Parent


def main(task: Mapping[str, Any], parent: Parent) -> str:
    """Take the lock ``path``; the parent hears when it is waited for."""
    with exclusive_lock(Path(task["path"]), lambda holder: parent.tell({"event": "waits", "for": holder})):
        return "held"
