"""``bench audit``: what is wrong with somebody's predictions or table of results."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.output import check_format, print_json, print_text
from bench.core.errors import RunError, SpecError
from bench.core.paths import board_location, cache_folder, data_folder, home_folder
from bench.core.text import echoed

if TYPE_CHECKING:
    from leaderboard.audit import Audit
    from leaderboard.audit.claim_checks import Claim
    from leaderboard.metrics import Sensitivity
    from leaderboard.results.official_part import OfficialPart


def audit(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Predictions (CSV, Parquet), a table of results (CSV, Markdown, JSON) or a run's result.",
        ),
    ],
    claimed: Annotated[
        str | None,
        typer.Option(
            help="What is claimed of predictions or runs, in percent as printed: sp=…,se=…,score=….", metavar="RATES"
        ),
    ] = None,
    judged: Annotated[
        str, typer.Option(help="What the claim counts as a hit: 4class (the exact class) or 2class.", metavar="WORD")
    ] = "4class",
    data: Annotated[
        str | None,
        typer.Option(help="Folder with ICBHI's annotation and split files, or `demo` (BENCH_DATA).", metavar="DIR"),
    ] = None,
    home: Annotated[Path | None, typer.Option(help="Results folder (BENCH_HOME).", metavar="DIR")] = None,
    cache: Annotated[Path | None, typer.Option(help="Cache folder (BENCH_CACHE).", metavar="DIR")] = None,
    output: Annotated[str, typer.Option("--format", help="table or json.", metavar="FORMAT")] = "table",
) -> None:
    """Say what is wrong with predictions, a table of results, or the result of a run: one sentence for each fault.

    Predictions are compared with the official test cycles, and a claim about them with what they give; a table of
    results with itself and with the counts of the official split. Nothing is stored. Exit code 1 where something is
    wrong, 0 where nothing was found.

    Examples:
      bench audit predictions.csv --claimed sp=81.66,se=43.07,score=62.37 --data ~/icbhi
      bench audit results.csv             # columns such as system, seed, sp, se, score, epoch, selection, split
      bench audit results/runs/3f2a…/result.json --format json
    """
    check_format(output)
    from leaderboard.audit import audit_file

    part = partial(_test_cycles, data, home, cache)
    found = audit_file(file, part, _claim(claimed), _judged(judged))
    if output == "json":
        print_json(found.to_json())
    else:
        _print(found)
    if found.findings:
        raise typer.Exit(RunError.exit_code)


def _test_cycles(data: str | None, home: Path | None, cache: Path | None) -> OfficialPart:
    """The test cycles that ``bench board submit`` would ask for."""
    from bench.data.datasets.icbhi.official import official_part
    from bench.data.datasets.simulated.demo import demo_folder
    from leaderboard.store.store import Store

    store = Store.open(board_location(home_folder(home)))
    if data == "demo":
        return official_part(demo_folder(cache_folder(cache)), store, named=True)
    return official_part(data_folder(Path(data) if data is not None else None), store, named=data is not None)


def _judged(word: str) -> Sensitivity:
    from bench.core.registry import suggestion
    from leaderboard.metrics import SENSITIVITIES

    for judged in SENSITIVITIES:
        if judged == word:
            return judged
    raise SpecError(f"Unknown word '{echoed(word)}' for --judged: {suggestion(word, SENSITIVITIES)}")


def _claim(text: str | None) -> Claim:
    """What ``--claimed`` says, in percent; fractions, where nothing is above 1, are taken as such."""
    from leaderboard.audit.metric_variants import RATES
    from leaderboard.audit.printed import printed_cell

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
    from bench.core.text import decimal_number

    try:
        decimal_number(text.removesuffix("%"))
    except ValueError:
        return False
    return True


def _print(found: Audit) -> None:
    holds = {"predictions": "predictions", "table": "a table of results", "runs": "results of runs"}[found.holds]
    count = len(found.findings)
    wrong = "nothing wrong was found" if not count else f"{count:,} thing{'s are' if count > 1 else ' is'} wrong"
    lines = [f"{found.file}, {holds}: {wrong}"]
    lines += [f"  {number}. {finding.sentence}" for number, finding in enumerate(found.findings, start=1)]
    for title, sentences in (("What its numbers are", found.facts), ("Not checked", found.unchecked)):
        if sentences:
            lines += ["", f"{title}:", *(f"  - {sentence}" for sentence in sentences)]
    print_text("\n".join(lines))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(audit)
