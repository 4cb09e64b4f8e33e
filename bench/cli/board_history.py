"""``bench board``: keys, and what people change on a board: each change is an entry of its log."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.output import Plugins, check_format, print_json, print_text
from bench.core.errors import RunError, SpecError
from bench.core.paths import board_location, home_folder

if TYPE_CHECKING:
    from leaderboard.history.log import LogEntry
    from leaderboard.store.store import Store

logger = logging.getLogger(__name__)

Home = Annotated[Path | None, typer.Option("--home", help="Results folder (BENCH_HOME).", metavar="DIR")]
Format = Annotated[str, typer.Option("--format", help="table or json.", metavar="FORMAT")]
Run = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or the beginning of it.")]
Reason = Annotated[str, typer.Option(help="Why; it stays in the log.", metavar="TEXT")]


def _board(home: Path | None) -> tuple[Path, Store]:
    from leaderboard.store.store import Store

    folder = home_folder(home)
    return folder, Store.open(board_location(folder))


def key(output: Format = "table") -> None:
    """Show your public key, and make one on first use: submissions are signed with it.

    The private half is a file that you alone can read (lungbench/key.pem in your configuration folder; BENCH_KEY names
    another). Keep a copy of it: only with it can seeds be added to what you submitted, or its statement changed.

    Example:  bench board key
    """
    from leaderboard.history.keys import key_path, load_key, make_key

    check_format(output)
    path = key_path()
    known = load_key() if path.exists() else None
    found = known or make_key(path)
    if known is None:
        logger.info(f"made a key: {path}; keep a copy of it, and show it to nobody")
    if output == "json":
        print_json({"key": found.public, "file": str(path), "new": known is None})
    else:
        print_text(found.public)


def retract(
    run: Run,
    reason: Reason,
    undo: Annotated[
        bool, typer.Option("--undo", help="Take a retraction back; a rebuild brings the run again.")
    ] = False,
    home: Home = None,
    output: Format = "table",
) -> None:
    """Take a run back: it leaves the board, and neither import nor rebuild brings it back. Its folder stays.

    Example:  bench board retract 3f2a --reason "trained on test patients"
    """
    from leaderboard.history.changes import restore
    from leaderboard.history.changes import retract as retract_run
    from leaderboard.history.keys import load_key

    check_format(output)
    folder, store = _board(home)
    change = restore if undo else retract_run
    entry = change(folder, store, run, reason, load_key())
    again = "`bench board rebuild` brings it back" if undo else "`bench board log` tells why"
    _print_entry(entry, f"{entry.run} {'may come back' if undo else 'was retracted'}; {again}", output)


def rename(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The name of a submitted system.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="What it is called from now on.")],
    home: Home = None,
    output: Format = "table",
) -> None:
    """Give a submitted system another name; ids, runs and files stay, and the old name leads to it.

    Example:  bench board rename "our CRNN" "CRNN-T"
    """
    from leaderboard.history.changes import rename as rename_system
    from leaderboard.history.keys import load_key

    check_format(output)
    folder, store = _board(home)
    entry = rename_system(folder, store, old, new, load_key())
    _print_entry(entry, f"'{entry.details['old']}' is called '{entry.details['new']}'", output)


def confirm(
    run: Run,
    reason: Reason = "confirmed by its author",
    home: Home = None,
    output: Format = "table",
) -> None:
    """Confirm with your key that a run is your system as you meant it.

    Example:  bench board confirm 3f2a
    """
    from leaderboard.history.changes import confirm as confirm_run
    from leaderboard.history.keys import load_key

    check_format(output)
    folder, store = _board(home)
    entry = confirm_run(folder, store, run, reason, load_key())
    _print_entry(entry, f"{entry.run} is confirmed by {entry.key}", output)


def rerun(
    run: Run,
    data: Annotated[str | None, typer.Option(help="Folder with ICBHI, or `demo` (BENCH_DATA).", metavar="DIR")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.", metavar="DEVICE")] = "auto",
    tolerance: Annotated[
        float, typer.Option(help="Percent points by which Sp, Se and Score may differ.", min=0.0, max=5.0)
    ] = 0.5,
    plugin: Plugins = None,
    home: Home = None,
    output: Format = "table",
) -> None:
    """Run a run's spec again here, in a folder of its own, and write into the log whether it gives the same numbers.

    The exit code is 1 where it does not.

    Example:  bench board rerun 3f2a
    """
    import dataclasses

    from bench.cli.run import replayed
    from bench.core.paths import cache_folder
    from bench.launch.confirmation import run_again
    from leaderboard.history.changes import record
    from leaderboard.history.keys import load_key

    check_format(output)
    folder, store = _board(home)
    signing = load_key()
    document = store.run(run)
    # As a script is, nobody is asked about code that the run names.
    found = run_again(
        document, lambda path: replayed(path, data, cache_folder(), None, device, plugin, "json"), tolerance
    )
    entry = record(folder, store, "rerun", document["run_id"], dataclasses.asdict(found), signing)
    told = "other cycles or rules" if found.largest is None else f"the largest difference is {found.largest:.4f} points"
    equal = "the same numbers" if found.equal else "OTHER NUMBERS"
    _print_entry(entry, f"{entry.run} run again: {equal} ({told}; {tolerance:g} allowed)", output)
    if not found.equal:
        raise typer.Exit(RunError.exit_code)


def review(
    accept: Annotated[
        tuple[str, str] | None, typer.Option(help="The mark of a run is right.", metavar="RUN MARK")
    ] = None,
    reject: Annotated[
        tuple[str, str] | None, typer.Option(help="The mark of a run is wrong.", metavar="RUN MARK")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why; it stands beside the mark.", metavar="TEXT")] = None,
    protocol: Annotated[str, typer.Option(help="Selection rule whose rows are listed.", metavar="RULE")] = "last",
    home: Home = None,
    output: Format = "table",
) -> None:
    """List the marks of all rows, or say of one whether it is right; a mark stays, with what was said beside it.

    Example:  bench board review --reject 3f2a copy --reason "two checkpoints of one group"
    """
    from leaderboard.history.changes import review as review_mark
    from leaderboard.history.keys import load_key

    check_format(output)
    folder, store = _board(home)
    if accept is None and reject is None:
        _print_marks(store, protocol, output)
        return
    if (accept is None) == (reject is None) or reason is None:
        raise SpecError("A review accepts or rejects one mark, and says why: --accept RUN MARK --reason TEXT.")
    run, mark = accept or reject or ("", "")
    verdict = "rejected" if accept is None else "accepted"
    entry = review_mark(folder, store, run, mark, verdict, reason, load_key())
    _print_entry(entry, f"mark '{mark}' of {entry.run}: {verdict}", output)


def _print_marks(store: Store, protocol: str, output: str) -> None:
    from bench.cli.report import check_word
    from leaderboard.results.schema import RULES
    from leaderboard.tables.board_tables import leaderboard_table

    check_word("protocol", protocol, RULES)
    rule = next(known for known in RULES if known == protocol)
    rows = [row for section in leaderboard_table(store, rule, failed=False).sections for row in section.rows]
    marks = [
        {"system": row["name"] or f"{row['model']} + {row['method']}", **mark} for row in rows for mark in row["marks"]
    ]
    if output == "json":
        print_json({"marks": marks})
        return
    if not marks:
        logger.info("No row has a mark.")
    for mark in marks:
        said = f" [{mark['review']['verdict']}: {mark['review']['reason']}]" if mark["review"] else ""
        print_text(f"{', '.join(mark['run_ids'])}  {mark['system']}  {mark['mark']}: {mark['sentence']}{said}")


def log(home: Home = None, output: Format = "table") -> None:
    """List every change of the board, the oldest first.

    Example:  bench board log --format json
    """
    from leaderboard.history.changes import joint_history

    check_format(output)
    folder, store = _board(home)
    history = joint_history(folder, store)
    if output == "json":
        entries = [{"id": one.id, "obeyed": one.obeyed, **one.document} for one in history.entries]
        print_json({"entries": entries, "missing": history.missing})
        return
    for one in history.entries:
        who = one.key[:16] + "…" if one.key else "unsigned"
        told = "; ".join(f"{name} {value}" for name, value in one.details.items())
        obeyed = "" if one.obeyed else " (not obeyed here)"
        print_text(f"{one.document['at'][:16]}  {one.action:<8} {one.run or '-':<16}  {who}  {told}{obeyed}")
    if history.missing:
        logger.warning(f"{len(history.missing)} entries were taken out of the log, first {history.missing[0]}.")


def _print_entry(entry: LogEntry, line: str, output: str) -> None:
    if output == "json":
        document: dict[str, Any] = {"id": entry.id, **entry.document}
        print_json(document)
    else:
        print_text(line)


def register(group: typer.Typer) -> None:
    """Add the commands to the group ``board``."""
    for command in (key, retract, rename, review, rerun, confirm, log):
        group.command()(command)
