"""What ``bench run`` says at its end, on stderr: where things are, what the first numbers mean, and what to do next."""

from __future__ import annotations

import logging
import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.log import SHORT_ID
from bench.core.paths import home_folder
from bench.core.terminal import PlainConsole

logger = logging.getLogger(__name__)

Document = Mapping[str, Any]

SIMULATED = (
    "The recordings are simulated: these numbers show that data, training, evaluation and board work here, and say "
    "nothing of the method. `bench data list` names real data sets, `bench data fetch` gets the first of them."
)


def is_first_run(home: Path | None) -> bool:
    """Whether a results folder holds no run yet, so that whoever begins one may see the first numbers of their life."""
    try:
        return not any(path.is_dir() for path in (home_folder(home) / "runs").iterdir())
    except FileNotFoundError:
        return True
    except OSError:
        return False  # the run itself says what is wrong with the folder


def say_what_next(documents: Sequence[Document], home: Path | None, *, first: bool) -> None:
    """Say where the results of finished runs are, and which commands go on from them.

    Args:
        documents: Results, as they were printed.
        home: The results folder, if one was named.
        first: Whether these are the first runs of the folder, whose numbers are explained.
    """
    from bench.api.tracker_commands import tracker_commands

    done = [document for document in documents if document["status"] == "finished"]
    if not done:
        return
    if first:
        for sentence in _explanations(done[0]):
            logger.info(sentence)
    ids = [document["run_id"] for document in done]
    folder = home_folder(home)
    where = folder / "runs" / ids[0] if len(ids) == 1 else folder / "runs"
    logger.info(f"Results, predictions, weights and logs are in {where}, the board is {folder / 'leaderboard.sqlite'}.")
    logger.info("What to do next:")
    alone = all(document.get("kind", "run") == "run" for document in done)
    lines = _beside(
        [*_commands([run_id[:SHORT_ID] for run_id in ids], home, alone=alone), *tracker_commands(ids, home)]
    )
    beside = max(len(command) + len(words) for command, words in lines) + len("    # ") <= _width()
    for command, words in lines:
        # Where both do not fit, what a command does stands above it: a line that is broken cannot be copied.
        for line in [f"  {command}  # {words}"] if beside else [f"  # {words}", f"  {command.rstrip()}"]:
            logger.info(line)


def _width() -> float:
    """The columns of the terminal that stderr is; without end where it is none."""
    return PlainConsole(sys.stderr).width if sys.stderr.isatty() else math.inf


def _explanations(document: Document) -> list[str]:
    from bench.api.tasks import task_of

    judged = task_of(document)
    unit = judged.task.unit
    score = "their mean, 50 if all is called normal" if judged.task.score == "mean" else "what the task makes of both"
    numbers = (
        f"Sp: how often a normal {unit} is called normal; Se: how often any other {unit} is given its own class; "
        f"Score: {score}. `last` is the last epoch, `best-test` the one that the test part likes best."
    )
    return [SIMULATED, numbers] if judged.simulated else [numbers]


def _commands(ids: Sequence[str], home: Path | None, *, alone: bool) -> list[tuple[str, str]]:
    """Commands of this program with what each does; what has several models predicts by its parts."""
    place = f" --home {shlex.quote(str(home))}" if home is not None else ""
    several = [("ensemble " + " ".join(ids), "one system of these runs")] if len(ids) > 1 and alone else []
    hears = [(f"predict {ids[0]} FILE.wav", "what it hears in a recording of yours")] if alone else []
    found = [
        ("report leaderboard", "the board, with intervals and ranks"),
        (f"board show {ids[0]}", "confusion, epochs and provenance of the run"),
        *several,
        *hears,
    ]
    return [(f"bench {command}{place}", words) for command, words in found]


def _beside(lines: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Commands filled up to one width, so that what they do stands in a column."""
    width = max(len(command) for command, _ in lines)
    return [(command.ljust(width), words) for command, words in lines]
