"""``bench board``: what comes onto the board from outside, and what leaves it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import options
from bench.cli.grid import print_grid
from bench.cli.options import Format, Home
from bench.cli.output import check_format, print_json, print_text, print_written
from bench.core.errors import StoreError
from bench.core.text import counted_noun

if TYPE_CHECKING:
    from bench.api.exchange import EnteredSubmission, MergedBundle, Statement

logger = logging.getLogger(__name__)


def submit(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Predictions, CSV or Parquet.")],
    system: options.System,
    selection: options.Selection,
    seed: options.StatedSeed = 1,
    epoch: options.StatedEpoch = None,
    model: options.Architecture = None,
    method: options.TrainingMethod = None,
    pretrain: options.Pretraining = None,
    paper: options.Paper = None,
    url: options.Address = None,
    notes: options.Notes = None,
    metadata: options.Metadata = None,
    ensemble: options.Ensemble = None,
    tta: options.TestTimeAugmentation = None,
    thresholds: options.Thresholds = None,
    pretrained_on_icbhi: options.PretrainedOnIcbhi = None,
    data: options.TestData = None,
    dataset: options.Dataset = None,
    task: options.Task = None,
    plugin: options.Plugins = None,
    allow_partial: options.AllowPartial = False,
    home: Home = None,
    cache: options.Cache = None,
    output: Format = "table",
) -> None:
    """Enter the predictions of a system from outside, checked against the official test cycles.

    The file has the columns recording (file name without ending; .wav is left out), cycle (from 0, the line in the
    annotation file) and either the task's classes, as normal,crackle,wheeze,both (scores or probabilities), or
    predicted (a class's number from 0, or its name). Every test cycle must be there exactly once, those of all tested
    parts, or the file is refused with the difference.

    No audio is needed: the cycles are known from the annotation files, or from a full run on the board.

    With a key (`bench board key`) the submission is signed, and only that key adds seeds to the system or changes what
    is stated of it. What is not declared (--metadata to --pretrained-on-icbhi) is shown as undeclared.

    Examples:
      bench board submit predictions.csv --system "our CRNN" --selection last --data ~/icbhi
      bench board submit events.csv --system "our CRNN" --selection last --dataset sprsound --task event-7
    """
    from bench.api.exchange import Inputs, Statement
    from bench.api.words import selection_rule

    check_format(output)
    inputs = Inputs(
        metadata=metadata, ensemble=ensemble, tta=tta, thresholds=thresholds, pretrained_on_icbhi=pretrained_on_icbhi
    )
    told = {"model": model, "method": method, "pretrain": pretrain, "paper": paper, "url": url, "notes": notes}
    statement = Statement(
        system=system.strip(),
        selection=selection_rule(selection, "selection rule"),
        seed=seed,
        epoch=epoch,
        **told,
        inputs=inputs,
    )
    where = {"data": data, "dataset": dataset, "task": task, "cache": cache, "plugins": plugin or ()}
    _enter(file, statement, home, output, allow_partial=allow_partial, **where)


def _enter(file: Path, statement: Statement, home: Path | None, output: str, **where: Any) -> None:
    """Enter predictions; a script that reads JSON is given a refusal as a document."""
    from bench.api import exchange
    from bench.api.boards import open_board

    try:
        _print_submission(exchange.submit(open_board(home=home), file, statement, **where), output)
    except exchange.RefusedError as error:
        if output == "json":
            print_json(exchange.refusal_document(error))
        raise


def _print_submission(done: EnteredSubmission, output: str) -> None:
    for line in done.remarks:
        logger.info(line)
    if output == "json":
        print_json(done.to_json())
        return
    rates = done.rates
    heads = ("test part", "cycles", "judged", *rates)
    rows = [
        [
            name + "*" * (name in done.seen_parts),
            f"{found['n']:,}",
            judged,
            *(f"{found[rate]:.2f}" for rate in rates.values()),
        ]
        for name, by_judged in done.metrics.items()
        for judged, found in (by_judged or {}).items()
    ]
    title = f"{done.system} · seed {done.seed} · {done.selection} (as stated) · {done.judged_words}"
    print_grid(title, heads, rows, numbers=("cycles", *rates), names=("test part", "judged"))
    print_text(f"submission {done.run_id}; board: bench report leaderboard")
    print_text("Percent; patient-disjoint: without the patients that have training recordings too.")
    for seen in done.seen_parts.values():
        print_text(f"* {seen}: patients seen in training.")


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The bundle to write.")],
    runs: options.Runs = None,
    home: Home = None,
    output: Format = "table",
) -> None:
    """Write runs as one file that another machine can import: results, predictions, provenance, hashes.

    Example:  bench board export ward-3.zip
    """
    from bench.api.boards import open_board
    from bench.api.exchange import export_runs

    check_format(output)
    done = export_runs(open_board(home=home), file, runs or ())
    size = f"{done.bytes / 2**20:.1f} MiB"
    line = f"{done.file}: {runs_text(len(done.runs))}, {size}, sha256 {done.sha256}"
    print_written(file, done.to_json(), line, output)


def import_(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Bundles of `bench board export`, run folders, or hf:OWNER/NAME."),
    ],
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the bundle's result where the board holds another.")
    ] = False,
    home: Home = None,
    output: Format = "table",
) -> None:
    """Merge bundles from other machines, or run folders, into the board; doing it twice changes nothing.

    A folder is a run's, HOME/runs or a results folder: what was trained with BENCH_STORE=none comes onto the board so.
    A run that the board holds with another result is a conflict: it is kept, named, and the exit code is 4.

    Examples:
      bench board import ward-3.zip ward-7.zip
      bench board import results
      bench board import hf:lab/small-ast
    """
    from bench.api.boards import open_board
    from bench.api.exchange import import_bundles

    check_format(output)
    merged = import_bundles(open_board(home=home), files, replace=replace)
    if output == "json":
        print_json({"bundles": [item.to_json() for item in merged]})
    else:
        for item in merged:
            print_merged(str(item.file), item)
    refuse_conflicts(merged, "bundle's")


def refuse_conflicts(merged: Sequence[MergedBundle], whose: str) -> None:
    """End with an error where runs were kept as they are here.

    Args:
        merged: What came of bundles.
        whose: Whose results ``--replace`` would take.

    Raises:
        StoreError: If there are any.
    """
    conflicts = sum(len(item.conflict) for item in merged)
    if conflicts:
        raise StoreError(
            f"{runs_text(conflicts)} in conflict: the board's results were kept.",
            f"--replace takes the {whose}; the folders of replaced runs are kept in replaced/.",
        )


def runs_text(count: int) -> str:
    """A number of runs in words."""
    return counted_noun(count, "run")


def print_merged(name: str, item: MergedBundle) -> None:
    """Print what came of each run of a bundle.

    Args:
        name: Of the bundle, for the first line.
        item: What came of it.
    """
    counts = {
        "new": len(item.new),
        "same": len(item.same),
        "in conflict": len(item.conflict),
        "replaced": len(item.replaced),
        "retracted": len(item.retracted),
    }
    words = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count or word in ("new", "same"))
    lines = [
        *(f"  new       {run_id}" for run_id in item.new),
        *(f"  replaced  {run_id}" for run_id in item.replaced),
        *(f"  conflict  {conflict['run_id']}: {conflict['reason']}" for conflict in item.conflict),
        *(f"  retracted {run_id}: not brought back; `bench board log` tells why" for run_id in item.retracted),
        *(
            f"  {run_id} was not judged on the official test cycles: a section of its own"
            for run_id in item.not_official
        ),
        *(f"  log       not obeyed here: {told}" for told in item.refused),
    ]
    print_text("\n".join([f"{name}: {words}", *lines]))


def upgrade(home: Home = None, output: Format = "table") -> None:
    """Bring the board's database to this version of lungbench; nothing in it is lost.

    Example:  bench board upgrade --home results
    """
    from bench.api.boards import open_board
    from bench.api.upkeep import upgrade as upgrade_board

    check_format(output)
    board = open_board(home=home)
    before, after = upgrade_board(board)
    if output == "json":
        print_json({"board": str(board), "before": before, "after": None if before is None else after})
    elif before is None:
        logger.info(f"There is no board at {board}; the first run makes it.")
    elif before == after:
        logger.info(f"The board {board} has the newest version, {after}.")
    else:
        logger.info(f"The board {board} went from version {before} to {after}.")


def register(group: typer.Typer) -> None:
    """Add the commands to the group ``board``."""
    group.command()(submit)
    group.command()(export)
    group.command("import")(import_)
    group.command()(upgrade)
