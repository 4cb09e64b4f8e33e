"""The options of Slurm jobs: those of the user's file, and over them those of the command line."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bench.core.documents import read_bytes
from bench.core.errors import ResultError, SpecError
from bench.core.registry import suggestion
from bench.core.text import echoed

OTHERS = "sbatch."
"""Before the name of an option of sbatch that has no name of its own here."""

OWN_NAMES = {
    "partition": "partition",
    "account": "account",
    "qos": "qos",
    "time": "time",
    "nodes": "nodes",
    "mem": "memory",
    "cpus-per-task": "cpus",
    "signal": "notice",
}
"""Options of sbatch that have a name here, which they must be given by."""

NOT_TO_CHANGE = frozenset(
    {"array", "job-name", "ntasks", "ntasks-per-node", "parsable", "test-only", "wait", "wrap", "clusters"}
)
"""Options of sbatch by which jobs are found again, or without which they are not those that were asked for."""

HINT = "docs/slurm.md describes the options of Slurm jobs."
FILE_LIMIT = 1 << 20

_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<parts>\d+(?::\d+){0,2})")
_GPUS = re.compile(r"(?:(?P<kind>[A-Za-z][\w.-]*):)?(?P<count>[1-9]\d*)|(?P<only>[A-Za-z][\w.-]*)")


def time_seconds(text: str) -> int:
    """Read a time limit as sbatch takes it: ``90`` minutes, ``1:30:00``, ``2-12``, ``2-12:30``.

    Raises:
        ValueError: If it is none.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError("no time as sbatch takes it: minutes, hours:minutes:seconds or days-hours:minutes")
    parts = [int(part) for part in match["parts"].split(":")]
    if match["days"] is not None:
        hours, minutes, seconds = [*parts, 0, 0][:3]
        return ((int(match["days"]) * 24 + hours) * 60 + minutes) * 60 + seconds
    hours, minutes, seconds = ([0, *parts, 0] if len(parts) == 1 else [0, *parts] if len(parts) == 2 else parts)[:3]
    return (hours * 60 + minutes) * 60 + seconds


class SlurmOptions(BaseModel):
    """What Slurm is asked for, for each job.

    Attributes:
        partition: The partition that it runs in.
        account: Whom its time is charged to.
        qos: Its quality of service.
        gpus: Kind of the GPUs (``a100``), or how many a job takes where that is not one per process (``2``,
            ``a100:2``); only of jobs that compute on GPUs.
        time: Its time limit, in one of sbatch's forms. A run that needs longer saves its state and goes on.
        nodes: Machines that share a run of several processes.
        cpus: CPU cores of each process.
        memory: Memory of each node (``32G``).
        setup: Lines of shell that come before the program: ``module load cuda``.
        python: The command that starts Python on a node; this Python by default. Words of a container may stand
            before it.
        notice: Seconds before its time is over at which a job is asked to save its state.
        restarts: How often a job whose time was over is put back into the queue by itself.
        sbatch: Other options of sbatch by their long names; an option without a value is ``true``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    gpus: str | None = None
    time: str | None = None
    nodes: int = Field(default=1, ge=1)
    cpus: int | None = Field(default=None, ge=1)
    memory: str | None = None
    setup: tuple[str, ...] = ()
    python: str | None = None
    notice: int = Field(default=120, ge=5)
    restarts: int = Field(default=20, ge=0)
    sbatch: Mapping[str, str | int | bool] = Field(default_factory=dict)

    @field_validator("gpus", "time", "memory", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value) if type(value) is int else value

    @field_validator("setup", mode="before")
    @classmethod
    def _as_lines(cls, value: Any) -> Any:
        return tuple(value.splitlines()) if isinstance(value, str) else value

    @field_validator("time")
    @classmethod
    def _known_time(cls, value: str | None) -> str | None:
        if value is not None:
            time_seconds(value)
        return value

    @field_validator("gpus")
    @classmethod
    def _known_gpus(cls, value: str | None) -> str | None:
        if value is not None and not _GPUS.fullmatch(value):
            raise ValueError("neither a number nor a kind of GPUs, such as 2, a100 or a100:2")
        return value

    @field_validator("sbatch")
    @classmethod
    def _free_names(cls, value: Mapping[str, str | int | bool]) -> Mapping[str, str | int | bool]:
        for name in value:
            plain = name.replace("_", "-")
            if plain in OWN_NAMES:
                raise ValueError(f"sbatch's {plain} is the option {OWN_NAMES[plain]} here")
            if plain in NOT_TO_CHANGE:
                raise ValueError(f"sbatch's {plain} is set by bench itself")
        return value

    @model_validator(mode="after")
    def _check_time(self) -> SlurmOptions:
        if self.time is not None and self.notice >= time_seconds(self.time):
            raise ValueError(f"notice, {self.notice} seconds before the end, must be shorter than time {self.time}")
        return self

    def gres(self, processes: int) -> str:
        """The GPUs of one node that runs so many processes, as sbatch's ``--gres`` takes them."""
        match = _GPUS.fullmatch(self.gpus or str(processes))
        assert match is not None
        kind, count = match["kind"] or match["only"], match["count"] or processes
        return f"gpu:{kind}:{count}" if kind else f"gpu:{count}"


def options_file() -> Path:
    """The user's file of such options."""
    folder = os.environ.get("XDG_CONFIG_HOME")
    return (Path(folder) if folder else Path.home() / ".config") / "lungbench" / "slurm.toml"


def slurm_options(given: Mapping[str, Any]) -> SlurmOptions:
    """The options of jobs: those of the command line, over those of the user's file.

    Args:
        given: By name; other options of sbatch are ``sbatch.NAME``, and their value may be empty.

    Raises:
        SpecError: If the file cannot be read, or an option does not exist or cannot have its value.
    """
    path = options_file()
    of_file = _read(path) if path.exists() else {}
    _checked(of_file, str(path))
    own = {name: value for name, value in given.items() if not name.startswith(OTHERS) and value is not None}
    others = {name.removeprefix(OTHERS): value or True for name, value in given.items() if name.startswith(OTHERS)}
    of_python = own.pop("sbatch", {})
    if not isinstance(of_python, Mapping):
        raise SpecError("Other options of sbatch are given one by one, as sbatch.NAME.", HINT)
    others = {**of_file.get("sbatch", {}), **of_python, **others}
    return _checked({**of_file, **own, "sbatch": others}, "Options of Slurm")


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_bytes(path, FILE_LIMIT, "a file of options").decode())
    except ResultError as error:
        raise SpecError(error.message, HINT) from None
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{path} is no TOML: {echoed(error, 200)}.", HINT) from None


def _checked(values: Mapping[str, Any], where: str) -> SlurmOptions:
    for name in values:
        if name not in SlurmOptions.model_fields:
            raise SpecError(
                f"{where}: unknown option '{echoed(name)}': {suggestion(name, SlurmOptions.model_fields)}",
                f"Other options of sbatch are {OTHERS}NAME. {HINT}",
            )
    try:
        return SlurmOptions(**values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        value = f"{name} is '{echoed(first['input'])}': " if name else ""
        raise SpecError(f"{where}: {value}{said[:1].lower()}{said[1:]}.", HINT) from None


def python_command(options: SlurmOptions) -> str:
    """The words of shell that start Python on a node.

    Raises:
        SpecError: If the one that is named does not exist as a file here.
    """
    if options.python is None:
        return shlex.quote(sys.executable)
    try:
        words = shlex.split(options.python)
    except ValueError as error:
        raise SpecError(f"The option python of Slurm is no command of a shell: {error}.", HINT) from None
    if not words:
        raise SpecError("The option python of Slurm names no command.", HINT)
    if "/" in words[0] and shutil.which(words[0]) is None:
        raise SpecError(f"The option python of Slurm names {echoed(words[0])}, which is no program here.", HINT)
    return options.python
