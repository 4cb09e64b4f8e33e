"""What is wrong with somebody's predictions, table of results, or result of a run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench.api.boards import Board
from bench.api.official_cycles import official_test_cycles
from bench.core.datasets import FOUR_CLASSES
from bench.core.errors import SpecError
from bench.core.progress import waiting
from bench.core.text import decimal_number, echoed
from bench.experiment.plugins import load_plugins
from leaderboard.audit import Audit, Finding, audit_file
from leaderboard.audit.claim_checks import Claim, judged_in
from leaderboard.audit.metric_variants import ALL_RATES
from leaderboard.audit.official import registered_split
from leaderboard.audit.printed import printed_cell

__all__ = ["Audit", "Finding", "audit"]

_SENSITIVITY = re.compile("[1-9][0-9]?class")
"""What a way of judging is called in some task; which ones there are in a task is known when the file was read."""


def audit(
    board: Board,
    file: Path,
    *,
    claimed: str | None = None,
    judged: str | None = None,
    data: str | None = None,
    dataset: str | None = None,
    task: str | None = None,
    part: str | None = None,
    cache: Path | None = None,
    plugins: Sequence[Path] = (),
) -> Audit:
    """Say what is wrong with a file: one sentence for each fault. Nothing is stored.

    Predictions are compared with the official test cycles, and a claim about them with what they give; a table of
    results with itself and with the counts of the official split.

    Args:
        board: A board whose full runs may know the test cycles.
        file: Predictions (CSV, Parquet), a table of results (CSV, Markdown, JSON) or a run's result.
        claimed: What is claimed of predictions or runs, in percent as printed: ``sp=81.66,se=43.07,score=62.37``. How
            many digits are printed says how exact the claim is. AS and HS (``as=…,hs=…``) are claimed of tasks that
            have them.
        judged: What the claim counts as a hit: ``4class`` (the exact class of four, as 7class of seven; the default)
            or ``2class``.
        data: The folder with annotation and split files, or ``demo``.
        dataset: Id of the data set that predictions or a table are of (default: what the folder holds; of a table the
            set that is meant where none is named). The result of a run says it itself.
        task: Id of the task (default: the first of the data set).
        part: The tested part that the claim is of (default: the one that systems are ranked by).
        cache: The cache folder.
        plugins: Files of data sets of your own.

    Raises:
        SpecError: If the claim cannot be read, or there is no such data set, task, part or way of judging.
        ResultError: If the file cannot be read, or is none of these.
        DataError: If the test cycles are needed and not known.
    """
    load_plugins(plugins)
    if judged is not None and not _SENSITIVITY.fullmatch(judged):
        judged_in(FOUR_CLASSES, judged)
    cycles = partial(official_test_cycles, board, data, cache, dataset=dataset, task=task)
    split = partial(registered_split, dataset, task)
    with waiting("auditing"):
        return audit_file(file, cycles, _claim(claimed), judged, split=split, tested=part)


def _claim(text: str | None) -> Claim:
    """What a claim says, in percent; fractions, where nothing is above 1, are taken as such."""
    hint = "Write it as printed, in percent: --claimed sp=81.66,se=43.07,score=62.37"
    claim = {}
    for item in (text or "").split(",") if text is not None else ():
        name, _, number = item.partition("=")
        rate = next((rate for rate in ALL_RATES if rate == name.strip().lower()), None)
        printed, std = printed_cell(number.strip())
        if rate is None or rate in claim or printed is None or std is not None or not _is_number(number):
            raise SpecError(f"Cannot read '{echoed(item)}' in --claimed.", hint)
        claim[rate] = printed
    if claim and all(printed.value <= 1 for printed in claim.values()):
        return {rate: printed.scaled() for rate, printed in claim.items()}
    return claim


def _is_number(text: str) -> bool:
    try:
        decimal_number(text.removesuffix("%"))
    except ValueError:
        return False
    return True
