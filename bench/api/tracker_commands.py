"""Commands of trackers that show, or upload, what they were told of runs."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from bench.core.paths import home_folder
from bench.engine.tracking import PROJECT
from leaderboard.results.run_folder import RunFolder

Command = tuple[str, str]
"""A command line, and what it does."""


def tracker_commands(run_ids: Sequence[str], home: Path | None) -> list[Command]:
    """How to look at what trackers were told of runs; nothing of those whose own server shows it.

    Args:
        run_ids: Ids of finished runs.
        home: Their results folder, if one was named.
    """
    folder = home_folder(home)
    runs = [RunFolder.of_run(folder, run_id) for run_id in run_ids]
    told = {name for name in _COMMANDS for run in runs if (run.tracking / f"{name}.json").is_file()}
    return [command for name, commands in _COMMANDS.items() if name in told for command in commands(runs, folder)]


def _tensorboard(runs: Sequence[RunFolder], home: Path) -> list[Command]:
    folder = runs[0].tracking if len(runs) == 1 else home / "runs"
    return [(f"tensorboard --logdir {shlex.quote(str(folder))}", "losses, Scores and figures in a browser")]


def _wandb(runs: Sequence[RunFolder], home: Path) -> list[Command]:
    """The upload of runs without a network; those with one are on the server."""
    own = os.environ.get("WANDB_DIR")
    places = [Path(own)] if own else [run.tracking for run in runs]
    offline = [place / "wandb" for place in places if any((place / "wandb").glob("offline-run-*"))]
    patterns = " ".join(f"{shlex.quote(str(place))}/offline-run-*" for place in offline)
    return [(f"wandb sync {patterns}", "upload what was kept offline")] if patterns else []


def _mlflow(runs: Sequence[RunFolder], home: Path) -> list[Command]:
    database = home / "mlflow.db"
    if os.environ.get("MLFLOW_TRACKING_URI") or not database.is_file():
        return []
    store = shlex.quote(f"sqlite:///{database}")
    # The extra brings what writes; the pages are in the whole package.
    return [
        (
            f"mlflow ui --backend-store-uri {store}",
            "losses, Scores and figures in a browser; needs the whole package mlflow",
        )
    ]


def _trackio(runs: Sequence[RunFolder], home: Path) -> list[Command]:
    if os.environ.get("TRACKIO_SPACE_ID"):
        return []
    return [(f"trackio show --project {PROJECT}", "losses, Scores and figures in a browser")]


_COMMANDS = {"tensorboard": _tensorboard, "wandb": _wandb, "mlflow": _mlflow, "trackio": _trackio}
