"""What commands that carry out many runs are asked alike: where these run, how many at a time, what of Slurm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from bench.core.errors import SpecError
from bench.core.text import echoed

if TYPE_CHECKING:
    from bench.api.launching import LaunchOptions

Launcher = Annotated[
    str, Option("--launcher", help="local: on this machine; slurm or dask: on a cluster.", metavar="local|slurm|dask")
]
Jobs = Annotated[
    int | None,
    Option("--jobs", help="Runs at a time (default: one per GPU, one on a CPU; of a cluster: all).", metavar="N"),
]
Devices = Annotated[
    str | None,
    Option("--devices", help="local: GPUs or MIG instances, as 0,1; or cpu (default: all).", metavar="NAMES"),
]
Retries = Annotated[
    int,
    Option(
        "--retries", help="How often a run that was lost, and saved nothing further, is started again.", metavar="N"
    ),
]
Timeout = Annotated[str | None, Option("--timeout", help="End a run after 2h, 90m or 3600 (seconds).", metavar="TIME")]
Scheduler = Annotated[
    str | None, Option("--scheduler", help="dask: address of the scheduler.", metavar="tcp://HOST:PORT")
]
Partition = Annotated[str | None, Option("--partition", help="slurm: partition.", metavar="NAME")]
Account = Annotated[str | None, Option("--account", help="slurm: account.", metavar="NAME")]
Qos = Annotated[str | None, Option("--qos", help="slurm: quality of service.", metavar="NAME")]
Gpus = Annotated[str | None, Option("--gpus", help="slurm: kind or number of GPUs: a100, 2, a100:2.", metavar="GPUS")]
Time = Annotated[str | None, Option("--time", help="slurm: time limit, as sbatch takes it.", metavar="TIME")]
Nodes = Annotated[int | None, Option("--nodes", help="slurm: machines that share a run.", metavar="N")]
Slurm = Annotated[
    list[str] | None,
    Option("--slurm", help="slurm: any other option of docs/slurm.md; may be repeated.", metavar="KEY=VALUE"),
]

OF_SLURM = ("partition", "account", "qos", "gpus", "time", "nodes")
"""Options that the launcher slurm knows by the same name."""


def launch_options_of(given: Mapping[str, Any]) -> LaunchOptions:
    """What was asked for, from the options of a command.

    Args:
        given: The options by name, as ``typer.Context.params`` has them.

    Raises:
        SpecError: If something of it cannot be.
    """
    from bench.api.launching import launch_options

    names = ("launcher", "jobs", "devices", "retries", "timeout", "scheduler")
    own = {name: given[name] for name in OF_SLURM if given.get(name) is not None}
    return launch_options(
        **{name: given[name] for name in names if name in given}, slurm={**own, **_pairs(given.get("slurm") or ())}
    )


def _pairs(words: Sequence[str]) -> dict[str, str]:
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise SpecError(f"--slurm takes KEY=VALUE, not '{echoed(word)}'.", "For example --slurm memory=32G.")
        found[name.strip()] = value
    return found
