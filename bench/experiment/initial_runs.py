"""The run that a training starts from: from what a user names to the id, the weights and the folder in a spec."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from baselines.checkpoints import fingerprint
from bench.core.errors import SpecError
from bench.core.hub import is_on_hub
from bench.core.paths import cache_folder, expanded, listed
from bench.core.text import echoed
from bench.experiment.hub_runs import fetched_run
from bench.experiment.spec import RunSpec
from leaderboard.results.run_folder import RUNS_FOLDER, RunFolder
from leaderboard.results.schema import RULES

_WHICH = re.compile(r"(.+):(last|best-test|best-val|stage-[0-9]{1,4})", re.DOTALL)
_PREFIX = re.compile(r"[0-9a-f]{1,16}")
_WEIGHTS = (*RULES, "stage-N")
_FORM = (
    "Name a run by its id, the beginning of it, its folder, or hf:OWNER/NAME, and its weights as in 0123abcd:best-test."
)


@dataclass(frozen=True)
class InitialRun:
    """A finished run, and which of its weights a training starts from.

    Attributes:
        folder: The run's folder.
        run_id: Its id.
        which: A selection rule, or the end of a stage (``stage-1``).
    """

    folder: RunFolder
    run_id: str
    which: str

    @property
    def name(self) -> str:
        """What a spec holds as ``init_from``."""
        return f"{self.run_id}:{self.which}"


def find_initial_run(text: str, home: Path, cache: Path | None = None) -> InitialRun:
    """Find the run that a user names, with its weights.

    Args:
        text: A run id, the beginning of one, a run's folder, or ``hf:OWNER/NAME`` for one on the Hub; after a colon
            ``last`` (the default), ``best-test``, ``best-val``, or ``stage-N`` for the end of a stage.
        home: The results folder.
        cache: The cache folder, for runs on the Hub; the user's by default.

    Raises:
        SpecError: If there is no such run, or several, or it is not finished, or does not keep these weights.
        ResultError: If its result cannot be read.
        HubError: If it is on the Hub and cannot be fetched, or is not whole.
    """
    name, which = split_reference(text)
    return initial_run_in(find_run_folder(name, home, cache), which)


def initial_run_in(folder: RunFolder, which: str) -> InitialRun:
    """The run of a folder, with the weights that are named; errors as :func:`find_initial_run`.

    Args:
        folder: The folder of a run.
        which: A selection rule, or the end of a stage.
    """
    if not folder.has_result() or (document := folder.read_document())["status"] != "finished":
        raise SpecError(
            f"The run {folder.path.name} is not finished, so that it has no weights to start from or to judge.",
            "Run it to its end first.",
        )
    if not folder.weights_of(which).is_file():
        kept = ", ".join(folder.kept_weights())
        raise SpecError(
            f"The run {document['run_id']} keeps no weights of '{which}' in {folder.weights}.",
            f"It keeps those of {kept}." if kept else "Run it again with --rerun.",
        )
    return InitialRun(folder, document["run_id"], which)


def split_reference(text: str) -> tuple[str, str]:
    """What a user names, apart from the weights that are named after its last colon; those are ``last`` by default.

    Args:
        text: As for :func:`find_initial_run`.
    """
    read = _WHICH.fullmatch(text)
    return (read[1], read[2]) if read else (text, "last")


def initial_weights_hash(spec: RunSpec) -> str | None:
    """The SHA-256, in hexadecimal characters, of the weights that a run starts from, as they are now.

    Args:
        spec: The spec of the run.

    Returns:
        None where it starts from no other run, or that one's weights are not where the spec says.

    Raises:
        WeightsError: If they cannot be read.
    """
    if spec.init_from is None or spec.init_weights is None:
        return None
    path = RunFolder(Path(spec.init_weights)).weights_of(spec.init_from.partition(":")[2])
    return fingerprint(path) if path.is_file() else None


def find_run_folder(name: str, home: Path, cache: Path | None = None) -> RunFolder:
    """The folder of a run that is named by id, beginning of one, path, or ``hf:OWNER/NAME`` for one on the Hub.

    Args:
        name: What a user names, without its weights.
        home: The results folder.
        cache: The cache folder, for runs on the Hub; the user's by default.

    Raises:
        SpecError: If there is no such run, or several.
        HubError: If it is on the Hub and cannot be fetched, or is not whole.
    """
    if is_on_hub(name):
        return fetched_run(name, cache_folder(cache))
    if _PREFIX.fullmatch(name):
        found = _of_prefix(name, home)
        if len(found) > 1:
            shown = ", ".join(path.name for path in found[:5])
            raise SpecError(f"{name} is the beginning of {len(found)} runs in {home}: {shown}.", "Write more of it.")
        if found:
            return RunFolder(found[0])
    folder = RunFolder(expanded(name)) if name else None
    if folder is None or not _is_run(folder):
        run, _, which = name.rpartition(":")
        if run and (_is_run(RunFolder(expanded(run))) or (_PREFIX.fullmatch(run) and _of_prefix(run, home))):
            words = ", ".join(_WEIGHTS)
            raise SpecError(f"Unknown weights '{echoed(which)}' of the run {echoed(run)}: known: {words}")
        raise SpecError(f"There is no run '{echoed(name)}' in {home}, and no folder of a run of that name.", _FORM)
    return folder


def _of_prefix(name: str, home: Path) -> list[Path]:
    return [path for path in listed(home / RUNS_FOLDER, f"{name}*") if _is_run(RunFolder(path))]


def _is_run(folder: RunFolder) -> bool:
    try:
        # What is combined of others has a result alone.
        return folder.spec.is_file() or folder.has_result()
    except (OSError, ValueError):
        # What no path can be, such as a text of thousands of characters.
        return False
