"""What is wrong with somebody's predictions, table of results, or result of a run."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bench.api.boards import Board
from bench.api.official_cycles import official_test_cycles
from bench.api.words import known_word
from bench.core.errors import SpecError
from bench.core.text import decimal_number, echoed
from leaderboard.audit import Audit, Finding, audit_file
from leaderboard.audit.claim_checks import Claim
from leaderboard.audit.metric_variants import RATES
from leaderboard.audit.printed import printed_cell
from leaderboard.metrics import SENSITIVITIES

__all__ = ["Audit", "Finding", "audit"]


def audit(
    board: Board,
    file: Path,
    *,
    claimed: str | None = None,
    judged: str = "4class",
    data: str | None = None,
    cache: Path | None = None,
) -> Audit:
    """Say what is wrong with a file: one sentence for each fault. Nothing is stored.

    Predictions are compared with the official test cycles, and a claim about them with what they give; a table of
    results with itself and with the counts of the official split.

    Args:
        board: A board whose full runs may know the test cycles.
        file: Predictions (CSV, Parquet), a table of results (CSV, Markdown, JSON) or a run's result.
        claimed: What is claimed of predictions or runs, in percent as printed: ``sp=81.66,se=43.07,score=62.37``. How
            many digits are printed says how exact the claim is.
        judged: What the claim counts as a hit: ``4class`` (the exact class) or ``2class``.
        data: The folder with annotation and split files, or ``demo``.
        cache: The cache folder.

    Raises:
        SpecError: If the claim cannot be read.
        ResultError: If the file cannot be read, or is none of these.
        DataError: If the test cycles are needed and not known.
    """
    cycles = partial(official_test_cycles, board, data, cache)
    return audit_file(file, cycles, _claim(claimed), known_word("way of judging", judged, SENSITIVITIES))


def _claim(text: str | None) -> Claim:
    """What a claim says, in percent; fractions, where nothing is above 1, are taken as such."""
    hint = "Write it as printed, in percent: --claimed sp=81.66,se=43.07,score=62.37"
    claim = {}
    for item in (text or "").split(",") if text is not None else ():
        name, _, number = item.partition("=")
        rate = next((rate for rate in RATES if rate == name.strip().lower()), None)
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
