"""``bench push``: a trained run on the Hugging Face Hub."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import options
from bench.cli.output import check_format, print_json, print_text

if TYPE_CHECKING:
    from bench.api.pushes import PushedRun

logger = logging.getLogger(__name__)


def push(
    run: options.TrainedRun,
    to: Annotated[
        str,
        typer.Option("--to", help="The repository: hf:OWNER/NAME, or hf:OWNER/NAME@BRANCH.", metavar="hf:OWNER/NAME"),
    ],
    private: options.Private = False,
    labels: Annotated[
        bool, typer.Option("--labels/--no-labels", help="Send the judged cycles with their labels.")
    ] = True,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the place of another run, or of other files, there.")
    ] = False,
    message: options.CommitMessage = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run/--no-dry-run", help="List what would be sent, ask nobody, and stop.")
    ] = False,
    output: options.Format = "table",
    home: options.Home = None,
    cache: options.Cache = None,
) -> None:
    """Put a trained run on the Hugging Face Hub: weights (safetensors), card, spec, result, predictions, hashes.

    One commit; pushing the same again makes none. States of optimisers, logs and the paths of this machine are not
    sent. The token is that of `hf auth login` or HF_TOKEN. What was pushed opens everywhere as hf:OWNER/NAME, in
    `bench predict`, `bench evaluate`, `bench board import`, --init-from and --pretrain.

    Examples:
      bench push 3f2a --to hf:lab/small-ast --dry-run
      bench push 3f2a --to hf:lab/small-ast --private
    """
    from bench.api.pushes import push as push_run

    check_format(output)
    done = push_run(
        run,
        to,
        private=private,
        labels=labels,
        replace_other=replace,
        message=message,
        dry_run=dry_run,
        home=home,
        cache=cache,
    )
    if done.labels is not None and done.state != "same":
        logger.info(
            f"test-cycles.csv holds the labels of the tested cycles, under the terms of the data set ({done.labels}); "
            "--no-labels leaves it out"
        )
    if output == "json":
        print_json(done.to_json())
    else:
        print_text(_told(done))


def _told(done: PushedRun) -> str:
    """What was or would be sent, a line for each file."""
    files = [f"{size:>13,}  {name}" for name, size in sorted(done.files.items())]
    total = f"{done.bytes:>13,}  in all"
    if done.state == "dry run":
        return "\n".join([f"run {done.run_id} would go to {done.to} (nothing was sent):", *files, total])
    if done.state == "same":
        return f"{done.to} holds run {done.run_id} already; nothing was changed (revision {done.revision})"
    shown = "private" if done.private else "public"
    used = f"bench predict {done.to} FILE.wav   or   bench evaluate {done.to} --dataset ID"
    return "\n".join([*files, total, f"run {done.run_id} is at {done.to} ({shown}), revision {done.revision}", used])


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(push)
