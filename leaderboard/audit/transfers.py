"""What is wrong with a transfer: a run that was judged on another task than its own (``transfer.json``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core.errors import BenchError
from leaderboard.audit.findings import Audit, Finding
from leaderboard.results.transfer import KIND, Transfer, TransferFolder


def is_transfer(document: Any) -> bool:
    """Whether a JSON document says that it is of a transfer."""
    return isinstance(document, Mapping) and document.get("kind") == KIND


def audit_transfer(path: Path) -> Audit:
    """Read a transfer with the predictions beside it, and recompute every number from them.

    Args:
        path: Its ``transfer.json``, in its folder.

    Returns:
        The audit, with the first fault where there is any.
    """
    audit = Audit(str(path), "transfer")
    try:
        found = TransferFolder(path.parent).read()
    except BenchError as error:
        audit.findings.append(Finding("transfer-disagrees", path.name, error.message))
        return audit
    audit.facts.extend(_facts(found))
    audit.unchecked.append("Whether the predictions are those of the run: judge it there again to see that.")
    audit.numbers["metrics"] = dict(found.document["metrics"])
    return audit


def _facts(transfer: Transfer) -> list[str]:
    trained, judged = transfer.document["trained_on"], transfer.document["judged_on"]["task"]
    where = f"{judged['id']} of {judged['dataset']}"
    found = [
        f"Run {transfer.document['run_id']}, trained on {trained['id']} of {trained['dataset']}, on {where}, {part}: "
        f"Sp {metrics['sp']:.2f}, Se {metrics['se']:.2f}, Score {metrics['score']:.2f}, as recomputed."
        for part, metrics in transfer.document["metrics"].items()
    ]
    left_out = f"{transfer.left_out} of its {len(transfer.cycles)} cycles are neither normal nor abnormal: left out."
    return [*found, left_out] if transfer.left_out else found
