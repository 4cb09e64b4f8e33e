"""``bench board push`` and ``pull``: a board as a data set on the Hugging Face Hub."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli import options
from bench.cli.board_exchange import print_merged, refuse_conflicts, runs_text
from bench.cli.options import Format, Home
from bench.cli.output import check_format, print_json, print_text

Place = Annotated[
    str,
    typer.Argument(metavar="hf:OWNER/DATASET", help="The data set; @BRANCH or @REVISION may stand behind it."),
]


def push(
    to: Place,
    private: options.Private = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take this board's result where the data set holds another.")
    ] = False,
    message: options.CommitMessage = None,
    home: Home = None,
    output: Format = "table",
) -> None:
    """Add the rows of this board to one on the Hugging Face Hub; rows that are there stay.

    A version is one commit with every row's predictions in one file, the leaderboard, and a card. What the data set
    holds is read and merged first, and again where somebody else pushes at the same time, so that no row is lost.
    Predictions go with the labels of the tested cycles, as in `bench board export`. A run that it holds with another
    result stays as it is there, and the exit code is 4.

    Examples:
      bench board push hf:lab/lung-board --private
      bench board push hf:lab/lung-board@review
    """
    from bench.api.boards import open_board
    from bench.api.hub_boards import push_board

    check_format(output)
    done = push_board(open_board(home=home), to, private=private, replace_results=replace, message=message)
    if output == "json":
        print_json(done.to_json())
    else:
        print_merged(done.to, done.merged)
        what = (
            "holds all of it already; nothing was changed" if done.state == "same" else f"holds {runs_text(done.runs)}"
        )
        print_text(f"{done.to} {what} ({'private' if done.private else 'public'}), revision {done.revision}")
    refuse_conflicts([done.merged], "ones of this board")


def pull(
    source: Place,
    replace: Annotated[bool, typer.Option("--replace", help="Take its result where this board holds another.")] = False,
    home: Home = None,
    cache: options.Cache = None,
    output: Format = "table",
) -> None:
    """Merge a board from the Hugging Face Hub into this one; doing it twice changes nothing.

    All of it is checked as by `bench board import`: hashes, signatures, what was taken back, and every number, which
    is computed again from the predictions. An older version is named by its revision.

    Examples:
      bench board pull hf:lab/lung-board
      bench board pull hf:lab/lung-board@8f14e45fceea167a5a36dedd4bea2543c1a1b2c3
    """
    from bench.api.boards import open_board
    from bench.api.hub_boards import pull_board

    check_format(output)
    done = pull_board(open_board(home=home), source, replace_results=replace, cache=cache)
    if output == "json":
        print_json(done.to_json())
    else:
        print_merged(done.source, done.merged)
        print_text(f"revision {done.revision}")
    refuse_conflicts([done.merged], "ones of the data set")


def register(group: typer.Typer) -> None:
    """Add the commands to the group ``board``."""
    group.command()(push)
    group.command()(pull)
