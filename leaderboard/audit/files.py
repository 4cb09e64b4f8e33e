"""An audit of any file: what it holds is recognised by its content, and the audit that fits is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.core.documents import parse_document, read_bytes
from bench.core.errors import ResultError
from bench.core.text import counted_noun
from leaderboard.audit.claim_checks import Claim, judged_in
from leaderboard.audit.epochs import check_epochs, check_stated, training_courses
from leaderboard.audit.findings import Audit, Finding
from leaderboard.audit.official import OfficialSplit, registered_split, split_of
from leaderboard.audit.predictions import audit_predictions
from leaderboard.audit.result_rows import ResultRow, beside_binary
from leaderboard.audit.row_checks import check_row, numbers_of, unchecked_of
from leaderboard.audit.run_claims import claim_findings
from leaderboard.audit.runs import audit_folder, audit_runs, run_documents
from leaderboard.audit.tables import rows_of_document, rows_of_text
from leaderboard.audit.transfers import audit_transfer, is_transfer
from leaderboard.metrics import Sensitivity
from leaderboard.results.official_part import OfficialPart
from leaderboard.results.parquet import is_parquet
from leaderboard.results.run_folder import RESULT_FILE, RunFolder
from leaderboard.results.submitted_predictions import LARGEST_FILE
from leaderboard.results.transfer import TransferFolder

PREDICTIONS = frozenset({"recording", "cycle"})
"""Columns that a file of predictions has, and a table of results has not."""


def audit_file(
    path: Path,
    part: Callable[[], OfficialPart],
    claim: Claim,
    judged: Sensitivity | None = None,
    *,
    split: Callable[[], OfficialSplit] = registered_split,
    tested: str | None = None,
) -> Audit:
    """Audit a file: predictions, a table of results, the result of a run, or the folder of a run or a transfer.

    Args:
        path: The file; CSV or Parquet (predictions), CSV, Markdown or JSON (results).
        part: Gives the official test cycles; called for predictions alone, because it may read the data set.
        claim: What is claimed of predictions or runs; may be empty.
        judged: Which sensitivity the claim's Se is; None for the strictest one of the task.
        split: Gives the official split that a table of results is of; by default that of the data set that is meant
            where none is named. Results of runs and the official test cycles say themselves what they are of.
        tested: The tested part that the claim is of; None for the main one of the task.

    Raises:
        ResultError: If the file cannot be read, holds none of these, or a table of results is given a claim.
        SpecError: If the task has no such sensitivity or part.
        BenchError: If the test cycles are not known.
    """
    place = _document_of(path) if path.is_dir() else path
    content = read_bytes(place, LARGEST_FILE, "a file of predictions or results")
    if is_parquet(content) or _names_cycles(content):
        cycles = part()
        return audit_predictions(place, cycles, claim, split_of(cycles).seen_from(tested), judged)
    document = parse_document(content, str(place)) if _is_json(content) else None
    if is_transfer(document) and not claim:
        return audit_transfer(place)
    runs = [] if is_transfer(document) else run_documents(document)
    if runs:
        return _audit_of_runs(place, runs, claim, judged, tested)
    if claim:
        raise ResultError(
            f"{place} holds neither predictions nor results of runs, so that no claim can be compared with it.",
            "Leave out --claimed: a table of results is a claim itself.",
        )
    official = split()
    judged_in(official.task, judged)
    if document is not None:
        return _audit_of_table(place, rows_of_document(document, str(place), official.task), official)
    return _audit_of_table(place, rows_of_text(_text(content, place), str(place), official.task), official)


def _document_of(folder: Path) -> Path:
    """The document of a folder of a run, or of a transfer."""
    transfer = TransferFolder(folder).document
    return transfer if transfer.is_file() else RunFolder(folder).result


def _is_json(content: bytes) -> bool:
    """Whether a file begins as a JSON document of objects does."""
    return content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")


def _names_cycles(content: bytes) -> bool:
    """Whether the first line of a CSV file names the columns of predictions."""
    first = content.lstrip(b"\xef\xbb\xbf\r\n").partition(b"\n")[0].decode(errors="replace")
    return {name.strip(' "\r') for name in first.split(",")} >= PREDICTIONS


def _text(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ResultError(f"{path} is neither Parquet nor text in UTF-8.") from error


def _audit_of_runs(
    path: Path, runs: Sequence[Any], claim: Claim, judged: Sensitivity | None, tested: str | None
) -> Audit:
    audit = Audit(str(path), "runs")
    audit_runs(audit, runs, judged)
    if claim:
        audit.findings.extend(claim_findings(runs, claim, judged, tested))
    if path.name == RESULT_FILE:
        audit_folder(audit, path.parent)
    else:
        audit.unchecked.append("The predictions behind the numbers: name the run's folder to have them recomputed.")
    audit.numbers["runs"] = len(runs)
    return audit


def _audit_of_table(path: Path, rows: Sequence[ResultRow], split: OfficialSplit) -> Audit:
    audit = Audit(str(path), "table")
    courses = training_courses(rows)
    for row in beside_binary(rows):
        audit.findings.extend(check_row(row, split))
    audit.findings.extend([*_repeated_seeds(rows), *check_epochs(courses), *check_stated(rows, courses)])
    audit.facts.append(f"It has {counted_noun(len(rows), 'row')} of results.")
    audit.unchecked.extend(_shared_reasons(rows, split))
    audit.unchecked.append("Whether the numbers are those of any predictions: only the predictions show that.")
    audit.numbers["rows"] = [numbers_of(row, split) for row in rows]
    return audit


def _shared_reasons(rows: Sequence[ResultRow], split: OfficialSplit) -> list[str]:
    """What could not be checked, each reason once, with the number of rows."""
    counts: dict[str, int] = {}
    for row in rows:
        for reason in unchecked_of(row, split):
            counts[reason] = counts.get(reason, 0) + 1
    return [f"{reason} ({count:,} of {counted_noun(len(rows), 'row')})." for reason, count in counts.items()]


def _repeated_seeds(rows: Sequence[ResultRow]) -> Iterator[Finding]:
    """Seeds that stand twice, and seeds whose numbers are another seed's."""
    by_seed: dict[tuple[Any, ...], ResultRow] = {}
    by_numbers: dict[tuple[Any, ...], ResultRow] = {}
    for row in rows:
        if row.seed is None:
            continue
        kind = (row.system, row.judged, row.part, row.split, row.selection, row.epoch)
        first = by_seed.setdefault((*kind, row.seed), row)
        if first is not row:
            sentence = f"Seed {row.seed[:20]} stands in {row.where} and in {first.where}: it counts twice in a mean."
            yield Finding("repeated-seed", row.where, sentence, {"seed": row.seed})
            continue
        values = tuple(None if rate is None else rate.value for rate in (row.sp, row.se, row.score))
        if None in values:
            continue
        twin = by_numbers.setdefault((row.system, row.judged, row.part, row.split, row.selection, values), row)
        if twin is not row and twin.seed != row.seed:
            sentence = (
                f"The numbers in {row.where} are those in {twin.where}: seeds that differ never agree in Sp, Se and "
                "Score, so that it is the same run."
            )
            yield Finding("repeated-run", row.where, sentence, {"seed": row.seed, "twin": twin.seed})
