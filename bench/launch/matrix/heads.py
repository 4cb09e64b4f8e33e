"""How a run ended, from its result alone: quick, so that ten thousand runs can be looked at in seconds.

Nothing is compared with the predictions; whoever takes a result up reads it whole.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.documents import is_number
from bench.core.errors import ResultError
from leaderboard.results.run_folder import RunFolder


@dataclass(frozen=True)
class ResultHead:
    """What a result says of itself.

    Attributes:
        status: ``finished``, ``failed`` or ``pruned``.
        error: What it failed with.
        score: Score of the last epoch with all classes told apart, percent.
        seconds: How long it took.
        epochs: Epochs that it trained.
        kind: ``run``, or what else it is the result of (``ensemble``, ``composite``).
    """

    status: str
    error: str | None = None
    score: float | None = None
    seconds: float | None = None
    epochs: int = 0
    kind: str = "run"


def read_head(home: Path, run_id: str) -> ResultHead | None:
    """What the result of a run says of itself; None where there is none.

    Raises:
        ResultError: If it cannot be read.
    """
    path = RunFolder.of_run(home, run_id).result
    try:
        document = json.loads(path.read_bytes())
        found = ResultHead(
            status=document["status"],
            error=document["error"],
            score=_score(document),
            seconds=document["seconds"],
            epochs=len(document["epochs"]),
            kind=str(document.get("kind", "run")),
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ResultError(f"Cannot read {path}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, StopIteration) as error:
        raise ResultError(f"{path} is no result of a run.", "Run it again with --rerun.") from error
    if not _is_sound(found):
        raise ResultError(f"{path} is no result of a run.", "Run it again with --rerun.")
    return found


def _is_sound(head: ResultHead) -> bool:
    texts = isinstance(head.status, str) and isinstance(head.error, str | None)
    return texts and all(number is None or is_number(number) for number in (head.score, head.seconds))


def _score(document: dict[str, Any]) -> float | None:
    judged = document["metrics"]["last"]
    score = next(iter(judged.values()))["score"] if judged else None
    return None if score is None else float(score)


def is_finished(home: Path, run_id: str) -> bool:
    """Whether a run's result says ``finished``; raises ResultError for one that cannot be read."""
    head = read_head(home, run_id)
    return head is not None and head.status == "finished"


def has_finished(home: Path, run_id: str) -> bool:
    """Whether a run's result can be read and says ``finished``."""
    try:
        return is_finished(home, run_id)
    except ResultError:
        return False
