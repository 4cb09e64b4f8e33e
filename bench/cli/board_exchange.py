"""``bench board``: what comes onto the board from outside, and what leaves it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.output import check_format, print_json, print_text, print_written, stdout
from bench.core.errors import SpecError, StoreError
from bench.core.paths import board_location, cache_folder, data_folder, home_folder
from bench.core.text import LARGEST_WHOLE

if TYPE_CHECKING:
    from leaderboard.results.bundles import Merged
    from leaderboard.results.submissions import OfficialPart, Submitted
    from leaderboard.store.store import Store

logger = logging.getLogger(__name__)

LARGEST_EPOCH = 2**31 - 1
"""As the board holds them (``leaderboard.metrics.LARGEST_COUNT``, which would bring NumPy with it)."""

LARGEST_ENSEMBLE = 10_000
"""As ``leaderboard.results.inputs`` has it."""

Home = Annotated[Path | None, typer.Option("--home", help="Results folder (BENCH_HOME).", metavar="DIR")]
Format = Annotated[str, typer.Option("--format", help="table or json.", metavar="FORMAT")]


def submit(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Predictions, CSV or Parquet.")],
    system: Annotated[str, typer.Option(help="The system's name on the board.", metavar="NAME")],
    selection: Annotated[
        str, typer.Option(help="How the epoch was chosen: last, best-test or best-val.", metavar="RULE")
    ],
    seed: Annotated[
        int, typer.Option(help="Seed of the training; seeds of one system make one row.", min=0, max=LARGEST_WHOLE)
    ] = 1,
    epoch: Annotated[
        int | None, typer.Option(help="The epoch, from 1, where it is known.", min=1, max=LARGEST_EPOCH)
    ] = None,
    model: Annotated[str | None, typer.Option(help="Architecture.", metavar="TEXT")] = None,
    method: Annotated[str | None, typer.Option(help="Training method.", metavar="TEXT")] = None,
    pretrain: Annotated[str | None, typer.Option(help="Pretraining.", metavar="TEXT")] = None,
    paper: Annotated[str | None, typer.Option(help="Citation.", metavar="TEXT")] = None,
    url: Annotated[str | None, typer.Option(help="Where to read on.", metavar="URL")] = None,
    notes: Annotated[str | None, typer.Option(help="Anything else.", metavar="TEXT")] = None,
    metadata: Annotated[
        bool | None,
        typer.Option("--metadata/--no-metadata", help="Inputs are more than sound: patient, device, place, diagnosis."),
    ] = None,
    ensemble: Annotated[
        int | None, typer.Option(help="How many models are averaged.", min=1, max=LARGEST_ENSEMBLE)
    ] = None,
    tta: Annotated[
        bool | None, typer.Option("--tta/--no-tta", help="Augmented copies of a test cycle are averaged.")
    ] = None,
    thresholds: Annotated[
        str | None,
        typer.Option(
            help="What thresholds or class biases were tuned on: none, training, held-out or test.", metavar="WORD"
        ),
    ] = None,
    pretrained_on_icbhi: Annotated[
        bool | None,
        typer.Option("--pretrained-on-icbhi/--not-pretrained-on-icbhi", help="The pretraining's data hold ICBHI."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Folder with ICBHI's annotation and split files, or `demo` (BENCH_DATA).", metavar="DIR"),
    ] = None,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Be judged on the recordings that are there; marked as partial.")
    ] = False,
    home: Home = None,
    cache: Annotated[Path | None, typer.Option(help="Cache folder (BENCH_CACHE).", metavar="DIR")] = None,
    output: Format = "table",
) -> None:
    """Enter the predictions of a system from outside, checked against the official test cycles.

    The file has the columns recording (file name without ending; .wav is left out), cycle (from 0, the line in the
    annotation file) and either normal,crackle,wheeze,both (scores or probabilities) or predicted (0 to 3, or the
    class's name). Every test cycle must be there exactly once, or the file is refused with the difference.

    No audio is needed: the cycles are known from ICBHI's text files, or from a full run on the board.

    With a key (`bench board key`) the submission is signed, and only that key adds seeds to the system or changes what
    is stated of it. What is not declared (--metadata to --pretrained-on-icbhi) is shown as undeclared.

    Example:  bench board submit predictions.csv --system "our CRNN" --selection last --data ~/icbhi
    """
    from bench.core.provenance import code_version
    from leaderboard.history.keys import load_key
    from leaderboard.results.inputs import Inputs
    from leaderboard.results.submissions import RefusedError, Statement, check_statement, refusal
    from leaderboard.results.submissions import submit as store_submission
    from leaderboard.store.store import Store

    check_format(output)
    statement = Statement(
        system=system.strip(),
        selection=_rule(selection),
        seed=seed,
        epoch=epoch,
        model=model,
        method=method,
        pretrain=pretrain,
        paper=paper,
        url=url,
        notes=notes,
        inputs=Inputs(
            metadata=metadata,
            ensemble=ensemble,
            tta=tta,
            thresholds=thresholds,
            pretrained_on_icbhi=pretrained_on_icbhi,
        ),
    )
    check_statement(statement)
    key = load_key()
    folder = home_folder(home)
    store = Store.open(board_location(folder))
    part = _official_part(data, cache_folder(cache), store, allow_partial)
    try:
        done = store_submission(file, part, statement, folder, store, code_version(), key)
    except RefusedError as error:
        if output == "json":
            print_json(refusal(error))
        raise
    for line in _remarks(done, part):
        logger.info(line)
    if output == "json":
        print_json(submission_document(done, part))
    else:
        _print_submission(done, part)


def _rule(word: str) -> Any:
    from bench.core.registry import suggestion
    from leaderboard.results.schema import RULES

    if word not in RULES:
        raise SpecError(f"Unknown selection rule '{word}': {suggestion(word, RULES)}")
    return word


def _official_part(data: str | None, cache: Path, store: Store, allow_partial: bool) -> OfficialPart:
    from bench.data.datasets.icbhi.official import official_part
    from bench.data.datasets.simulated.demo import demo_folder

    if data == "demo":
        logger.info("the simulated set is used (made on first use); the submission is marked as simulated")
        return official_part(demo_folder(cache), store, named=True)
    folder = data_folder(Path(data) if data is not None else None)
    return official_part(folder, store, named=data is not None, allow_partial=allow_partial)


def _remarks(done: Submitted, part: OfficialPart) -> list[str]:
    from leaderboard.history.claims import key_of
    from leaderboard.results.inputs import UNDECLARED

    remarks = [f"checked against {part.source}: {len(part.cycles):,} test cycles"]
    if done.stripped:
        remarks.append(f"{done.stripped:,} lines name the recording with .wav; the ending was left out")
    if done.state == "same":
        remarks.append("the board holds this submission already; nothing changed")
    if key_of(done.document) is None:
        remarks.append("not signed: `bench board key` makes a key, so that nobody else can add to this system")
    undeclared = [name for name, value in _inputs(done.document).items() if value == UNDECLARED]
    if undeclared:
        remarks.append(f"undeclared, and shown as that: {', '.join(undeclared)}")
    return remarks


def _inputs(document: Mapping[str, Any]) -> dict[str, Any]:
    from leaderboard.results.inputs import inputs_of

    return inputs_of("submission", document["spec"], document)


def submission_document(done: Submitted, part: OfficialPart) -> dict[str, Any]:
    """The JSON of ``bench board submit``, as scripts rely on it (DESIGN)."""
    document = done.document
    return {
        "system": document["spec"]["system"],
        "run_id": document["run_id"],
        "state": done.state,
        "selection": document["submission"]["selection"],
        "seed": document["spec"]["seed"],
        "dataset": part.dataset,
        "simulated": part.dataset == "demo",
        "partial": part.partial,
        "cycles": len(part.cycles),
        "metrics": done.metrics,
        "spec": document["spec"],
        "submission": document["submission"],
        "inputs": _inputs(document),
        "judged_set": part.cycles.hash,
        "key": document["submission"].get("key"),
        "provenance": document["provenance"],
        "folder": str(done.folder),
    }


def _print_submission(done: Submitted, part: OfficialPart) -> None:
    from rich import box
    from rich.table import Table

    document = done.document
    mark = "simulated data" if part.dataset == "demo" else part.partial or "ICBHI 2017, official split"
    title = f"{document['spec']['system']} · seed {document['spec']['seed']} · {document['submission']['selection']}"
    table = Table(
        title=f"{title} (as stated) · {mark}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for heading in ("test part", "cycles", "judged", "Sp", "Se", "Score"):
        table.add_column(heading, justify="left" if heading in ("test part", "judged") else "right", no_wrap=True)
    for name, by_judged in done.metrics.items():
        for judged, m in (by_judged or {}).items():
            table.add_row(name, f"{m['n']:,}", judged, *(f"{m[rate]:.2f}" for rate in ("sp", "se", "score")))
    console = stdout()
    console.print(table)
    console.print(f"submission {document['run_id']}; board: bench report leaderboard")
    console.print("Percent; patient-disjoint: without the patients that have training recordings too.")


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The bundle to write.")],
    runs: Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", help="Ids of runs; all by default.")] = None,
    home: Home = None,
    output: Format = "table",
) -> None:
    """Write runs as one file that another machine can import: results, predictions, provenance, hashes.

    Example:  bench board export ward-3.zip
    """
    from bench.core.version import __version__
    from leaderboard.results.bundles import export_bundle
    from leaderboard.store.store import Store

    check_format(output)
    done = export_bundle(Store.open(board_location(home_folder(home))), file, runs or (), written_by=__version__)
    document = {
        "file": str(done.path),
        "runs": list(done.run_ids),
        "cycle_sets": done.cycle_sets,
        "bytes": done.size,
        "sha256": done.sha256,
    }
    size = f"{done.size / 2**20:.1f} MiB"
    print_written(file, document, f"{done.path}: {_runs(len(done.run_ids))}, {size}, sha256 {done.sha256}", output)


def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Bundles of `bench board export`.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the bundle's result where the board holds another.")
    ] = False,
    home: Home = None,
    output: Format = "table",
) -> None:
    """Merge bundles from other machines into the board; doing it twice changes nothing.

    A run that the board holds with another result is a conflict: it is kept, named, and the exit code is 4.

    Example:  bench board import ward-3.zip ward-7.zip
    """
    from leaderboard.results.bundles import check_bundle, import_bundle
    from leaderboard.store.store import Store

    check_format(output)
    folder = home_folder(home)
    store = Store.open(board_location(folder))
    if len(files) > 1:
        for file in files:
            check_bundle(file)  # No bundle is merged while another one is damaged.
    merged = [import_bundle(file, folder, store, replace=replace) for file in files]
    if output == "json":
        print_json({"bundles": [_merged_document(item) for item in merged]})
    else:
        for item in merged:
            _print_merged(item)
    conflicts = sum(len(item.conflicts) for item in merged)
    if conflicts:
        raise StoreError(
            f"{_runs(conflicts)} in conflict: the board's results were kept.",
            "--replace takes the bundle's; the folders of replaced runs are kept in replaced/.",
        )


def _runs(count: int) -> str:
    return f"{count:,} run{'' if count == 1 else 's'}"


def _merged_document(item: Merged) -> dict[str, Any]:
    return {
        "file": str(item.path),
        "new": list(item.new),
        "same": list(item.same),
        "conflict": [{"run_id": conflict.run_id, "reason": conflict.reason} for conflict in item.conflicts],
        "replaced": list(item.replaced),
        "retracted": list(item.retracted),
        "not_official": list(item.not_official),
        "log_entries": item.log_entries,
        "refused": list(item.refused),
    }


def _print_merged(item: Merged) -> None:
    counts = {
        "new": len(item.new),
        "same": len(item.same),
        "in conflict": len(item.conflicts),
        "replaced": len(item.replaced),
        "retracted": len(item.retracted),
    }
    words = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count or word in ("new", "same"))
    lines = [
        *(f"  new       {run_id}" for run_id in item.new),
        *(f"  replaced  {run_id}" for run_id in item.replaced),
        *(f"  conflict  {conflict.run_id}: {conflict.reason}" for conflict in item.conflicts),
        *(f"  retracted {run_id}: not brought back; `bench board log` tells why" for run_id in item.retracted),
        *(
            f"  {run_id} was not judged on the official test cycles: a section of its own"
            for run_id in item.not_official
        ),
        *(f"  log       not obeyed here: {told}" for told in item.refused),
    ]
    print_text("\n".join([f"{item.path}: {words}", *lines]))


def upgrade(home: Home = None) -> None:
    """Bring the board's database to this version of lungbench; nothing in it is lost.

    Example:  bench board upgrade --home results
    """
    from leaderboard.store.store import Store

    store = Store.open(board_location(home_folder(home)))
    before, after = store.database.upgrade()
    if before is None:
        logger.info(f"There is no board at {store}; the first run makes it.")
    elif before == after:
        logger.info(f"The board {store} has the newest version, {after}.")
    else:
        logger.info(f"The board {store} went from version {before} to {after}.")


def register(group: typer.Typer) -> None:
    """Add the commands to the group ``board``."""
    group.command()(submit)
    group.command()(export)
    group.command("import")(import_)
    group.command()(upgrade)
