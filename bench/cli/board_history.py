"""``bench board``: keys, and what people change on a board: each change is an entry of its log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import options
from bench.cli.options import Format, Home, Reason, Run
from bench.cli.output import check_format, print_json, print_text
from bench.core.errors import RunError, SpecError
from bench.core.text import counted_noun

if TYPE_CHECKING:
    from bench.api.boards import Board
    from bench.api.changes import LogEntry

logger = logging.getLogger(__name__)


def key(output: Format = "table") -> None:
    """Show your public key, and make one on first use: submissions are signed with it.

    The private half is a file that you alone can read (lungbench/key.pem in your configuration folder; BENCH_KEY names
    another). Keep a copy of it: only with it can seeds be added to what you submitted, or its statement changed.

    Example:  bench board key
    """
    from bench.api.keys import own_key

    check_format(output)
    found = own_key()
    if found.new:
        logger.info(f"made a key: {found.file}; keep a copy of it, and show it to nobody")
    if output == "json":
        print_json(found.to_json())
    else:
        print_text(found.key)


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
    from bench.api import changes
    from bench.api.boards import open_board

    check_format(output)
    entry = changes.retract(open_board(home=home), run, reason, undo=undo)
    again = "`bench board rebuild` brings it back" if undo else "`bench board log` tells why"
    _print_entry(entry, f"{entry.run} {'may come back' if undo else 'was retracted'}; {again}", output)


def rename(
    old: options.OldName,
    new: Annotated[str, typer.Argument(metavar="NEW", help="What it is called from now on.")],
    home: Home = None,
    output: Format = "table",
) -> None:
    """Give a submitted system another name; ids, runs and files stay, and the old name leads to it.

    Example:  bench board rename "our CRNN" "CRNN-T"
    """
    from bench.api import changes
    from bench.api.boards import open_board

    check_format(output)
    entry = changes.rename(open_board(home=home), old, new)
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
    from bench.api import changes
    from bench.api.boards import open_board

    check_format(output)
    entry = changes.confirm(open_board(home=home), run, reason)
    _print_entry(entry, f"{entry.run} is confirmed by {entry.key}", output)


def rerun(
    run: Run,
    data: options.Data = None,
    device: options.Device = "auto",
    tolerance: Annotated[
        float, typer.Option(help="Percent points by which Sp, Se and Score may differ.", min=0.0, max=5.0)
    ] = 0.5,
    plugin: options.Plugins = None,
    home: Home = None,
    cache: options.Cache = None,
    output: Format = "table",
) -> None:
    """Run a run's spec again here, in a folder of its own, and write into the log whether it gives the same numbers.

    The exit code is 1 where it does not.

    Example:  bench board rerun 3f2a
    """
    from bench.api import changes
    from bench.api.boards import open_board

    check_format(output)
    board = open_board(home=home)
    where: dict[str, Any] = {"data": data, "device": device, "plugins": plugin or (), "cache": cache}
    found = changes.rerun(board, run, tolerance=tolerance, **where)
    told = "other cycles or rules" if found.largest is None else f"the largest difference is {found.largest:.4f} points"
    equal = "the same numbers" if found.equal else "OTHER NUMBERS"
    _print_entry(found.entry, f"{found.entry.run} run again: {equal} ({told}; {tolerance:g} allowed)", output)
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
    protocol: options.Protocol = "last",
    home: Home = None,
    output: Format = "table",
) -> None:
    """List the marks of all rows, or say of one whether it is right; a mark stays, with what was said beside it.

    Example:  bench board review --reject 3f2a copy --reason "two checkpoints of one group"
    """
    from bench.api import changes
    from bench.api.boards import open_board

    check_format(output)
    board = open_board(home=home)
    if accept is None and reject is None:
        _print_marks(board, protocol, output)
        return
    if (accept is None) == (reject is None) or reason is None:
        raise SpecError("A review accepts or rejects one mark, and says why: --accept RUN MARK --reason TEXT.")
    run, mark = accept or reject or ("", "")
    entry = changes.review(board, run, mark, accept=accept is not None, reason=reason)
    _print_entry(entry, f"mark '{mark}' of {entry.run}: {entry.details['verdict']}", output)


def _print_marks(board: Board, protocol: str, output: str) -> None:
    from bench.api.changes import marks

    found = marks(board, protocol)
    if output == "json":
        print_json({"marks": found})
        return
    if not found:
        logger.info("No row has a mark.")
    for mark in found:
        said = f" [{mark['review']['verdict']}: {mark['review']['reason']}]" if mark["review"] else ""
        print_text(f"{', '.join(mark['run_ids'])}  {mark['system']}  {mark['mark']}: {mark['sentence']}{said}")


def log(home: Home = None, output: Format = "table") -> None:
    """List every change of the board, the oldest first.

    Example:  bench board log --format json
    """
    from bench.api.boards import open_board
    from bench.api.changes import history, history_document

    check_format(output)
    found = history(open_board(home=home))
    if output == "json":
        print_json(history_document(found))
        return
    for one in found.entries:
        who = one.key[:16] + "…" if one.key else "unsigned"
        told = "; ".join(f"{name} {value}" for name, value in one.details.items())
        obeyed = "" if one.obeyed else " (not obeyed here)"
        print_text(f"{one.document['at'][:16]}  {one.action:<8} {one.run or '-':<16}  {who}  {told}{obeyed}")
    if found.missing:
        logger.warning(
            f"{counted_noun(len(found.missing), 'entry was', 'entries were')} taken out of the log, first "
            f"{found.missing[0]}."
        )


def _print_entry(entry: LogEntry, line: str, output: str) -> None:
    from bench.api.changes import entry_document

    if output == "json":
        print_json(entry_document(entry))
    else:
        print_text(line)


def register(group: typer.Typer) -> None:
    """Add the commands to the group ``board``."""
    for command in (key, retract, rename, review, rerun, confirm, log):
        group.command()(command)
