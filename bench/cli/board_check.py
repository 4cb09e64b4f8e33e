"""``bench board check`` and ``reference``: what others contribute, and what this project does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import options
from bench.cli.board_exchange import runs_text
from bench.cli.completion import completer
from bench.cli.options import Format, Home
from bench.cli.output import check_format, print_json, print_text
from bench.core.errors import DataError

if TYPE_CHECKING:
    from bench.api.contributions import CheckedBundle, CheckedRun
    from bench.api.reference_results import EnteredReference, ReferenceResult


def check(
    files: Annotated[list[Path], typer.Argument(metavar="BUNDLE...", help="Bundles of `bench board export`.")],
    against: Annotated[
        list[Path] | None,
        typer.Option(
            "--against", help="A bundle of the board that they should come to; may be repeated.", metavar="BUNDLE"
        ),
    ] = None,
    official: Annotated[
        bool,
        typer.Option("--official", help="Refuse what would not be ranked: simulated, partial, other cycles."),
    ] = False,
    output: Format = "table",
) -> None:
    """Check bundles as an import does, and touch no board: a step for contributors and for the keepers of a board.

    Hashes, forms, ids, signatures, and every number, which is computed again from the predictions. Says what each run
    is, and which marks its row would have. Several bundles are to come to one board: each is compared with those
    before it. The exit code is 3 where one is damaged or would not be taken.

    Examples:
      bench board check submissions/our-crnn.zip
      bench board check submissions/our-crnn.zip --against board.zip --official --format json
    """
    from bench.api.contributions import check_bundles

    check_format(output)
    found = check_bundles(files, against=against or (), official=official)
    if output == "json":
        print_json({"bundles": [each.to_json() for each in found]})
    else:
        print_text("\n".join(line for each in found for line in _lines(each)))
    refused = [str(each.file) for each in found if not each.accepted]
    if refused:
        raise DataError(f"Not accepted: {', '.join(refused)}.", "The lines above say why; nothing was changed.")


def _lines(found: CheckedBundle) -> list[str]:
    state = "accepted" if found.accepted else "not accepted"
    runs = [line for run in found.runs for line in _run_lines(run)]
    return [
        f"{found.file}: {state}, {runs_text(len(found.runs))}",
        *runs,
        *(f"  refused  {why}" for why in found.refused),
    ]


def _run_lines(run: CheckedRun) -> list[str]:
    scores = ", ".join(f"{rule} {score:.2f}" for rule, score in run.score.items())
    ranked = "ranked" if run.official else "not ranked"
    first = f"  {run.run_id}  {run.system}, seed {run.seed}: {run.section} ({ranked}); Score {scores or '–'}"
    return [first, *(f"    {word}: {sentence}" for word, sentence in run.marks.items())]


def reference(
    dataset: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]", help="Id of the data set; without it, what there is.", autocompletion=completer("datasets")
        ),
    ] = None,
    data: options.TestData = None,
    home: Home = None,
    cache: options.Cache = None,
    output: Format = "table",
) -> None:
    """Put the reference results of this project on the board: real runs whose predictions come with the program.

    They are judged on the annotation files that are here, since no labels are shipped; no audio is needed. Their names
    say what they are. Printed results of other people are in `bench report published`.

    Examples:
      bench board reference
      bench board reference sprsound --data ~/sprsound
    """
    from bench.api.boards import open_board
    from bench.api.reference_results import enter_reference_results, reference_results

    check_format(output)
    if dataset is None:
        shipped = reference_results()
        if output == "json":
            print_json({"results": [each.to_json() for each in shipped]})
        else:
            print_text("\n".join(map(_shipped_line, shipped)))
        return
    entered = enter_reference_results(open_board(home=home), dataset, data=data, cache=cache)
    if output == "json":
        print_json({"results": [each.to_json() for each in entered]})
    else:
        print_text("\n".join([*map(_entered_line, entered), f"board: bench report leaderboard --dataset {dataset}"]))


def _shipped_line(result: ReferenceResult) -> str:
    return f"{result.dataset}  {result.task}  {result.system}, seed {result.seed}  run {result.run_id}"


def _entered_line(done: EnteredReference) -> str:
    scores = ", ".join(f"{part} {score:.2f}" for part, score in done.score.items())
    named = f"{done.result.system}, seed {done.result.seed}  {done.result.task}"
    return f"{done.state:<5} {done.submission}  {named}: {scores}"


def register(group: typer.Typer) -> None:
    """Add the commands to the group ``board``."""
    group.command()(check)
    group.command()(reference)
