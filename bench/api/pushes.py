"""Trained runs on the Hugging Face Hub: weights, card, spec, result and predictions as one commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.api.calls import api_call
from bench.api.requests import FilePath
from bench.core.errors import SpecError
from bench.core.hub import HubPlace, HubState, hub_place
from bench.core.hub_commits import commit, writable_state
from bench.core.paths import cache_folder, home_folder
from bench.core.text import counted_noun
from leaderboard.results.run_folder import CYCLES_FILE
from leaderboard.results.run_manifest import CARD, MANIFEST, GivenRun, given_run, is_file_of_run, run_of_manifest

_ADDRESS = """
## This repository

It opens as it is, and LungBench checks the hash of every file that `manifest.json` names:

```sh
bench predict {place} recording.wav
bench evaluate {place} --dataset ID   # judged on another data set
bench board import {place}            # onto your board, every number recomputed
```
"""

_NOT_OURS = frozenset({".gitattributes"})
"""What the Hub itself puts into a new repository."""


@dataclass(frozen=True, kw_only=True)
class PushedRun:
    """A run on the Hub, or what would be sent there.

    Attributes:
        run_id: Id of the run.
        to: The repository, ``hf:OWNER/NAME``.
        state: ``pushed``, ``same`` where the repository held all of it already, or ``dry run``.
        revision: The commit that holds it; None for a dry run.
        private: Whether the repository is shown to its owners alone.
        files: Bytes of each file, by name.
        labels: Licence of the data set whose labels are among the files; None where they are not.
    """

    run_id: str
    to: str
    state: str
    revision: str | None
    private: bool
    files: Mapping[str, int]
    labels: str | None

    @property
    def bytes(self) -> int:
        """Bytes of all files together."""
        return sum(self.files.values())

    def to_json(self) -> dict[str, Any]:
        """The document that ``bench push --format json`` prints."""
        return {**vars(self), "files": dict(self.files), "bytes": self.bytes}


@api_call
def push(
    run: str | Path | Any,
    to: str,
    *,
    private: bool = False,
    labels: bool = True,
    replace_other: bool = False,
    message: str | None = None,
    dry_run: bool = False,
    home: FilePath | None = None,
    cache: FilePath | None = None,
) -> PushedRun:
    """Put a finished run on the Hugging Face Hub, from where its id there opens it everywhere.

    What is sent opens like a run folder: the spec, the result, the predictions, the weights as safetensors, a card and
    a manifest with the hash of each file. States of optimisers, logs and the paths of this machine are not sent. It is
    one commit; pushing the same again makes none.

    Args:
        run: Id of a finished run, the beginning of it, its folder, or a run as :func:`bench.run` returns it.
        to: ``hf:OWNER/NAME``, or ``hf:OWNER/NAME@BRANCH``; made where there is none.
        private: Make the repository for its owners alone.
        labels: Send the judged cycles with their labels, by which others can recompute the numbers.
        replace_other: Take the place of another run, or of other files, in the repository.
        message: Of the commit.
        dry_run: Send nothing and ask nobody.
        home: Results folder.
        cache: Cache folder, where a run of the Hub is fetched to.

    Raises:
        SpecError: If there is no such run or it keeps no weights, ``to`` names no repository, or holds something else.
        HubError: If the Hub is not reached or refuses, or somebody else wrote there at the same time.
    """
    from bench.experiment.initial_runs import find_initial_run

    place = hub_place(to, "model")
    folder = find_initial_run(str(getattr(run, "folder", run)), home_folder(home), cache_folder(cache)).folder
    given = _with_card(given_run(folder, labels=labels), folder.path, place)
    told = PushedRun(
        run_id=given.run_id,
        to=str(place),
        state="dry run",
        revision=None,
        private=private,
        files=given.sizes(),
        labels=_licence_of_labels(given, folder.read_document()),
    )
    if dry_run:
        return told
    before = writable_state(place, private=private)
    _check_same_run(place, before, given.run_id, replace_other)
    old = [name for name in before.files - set(given.files) if is_file_of_run(name)]
    done = commit(place, before, given.files, message or f"Run {given.run_id}", removed=old)
    state = "pushed" if done.new else "same"
    return replace(told, state=state, revision=done.revision, private=before.private)


def _with_card(given: GivenRun, folder: Path, place: HubPlace) -> GivenRun:
    from bench.api.model_cards import model_card

    card = model_card(folder).rstrip("\n") + "\n" + _ADDRESS.format(place=place)
    return replace(given, files={**given.files, CARD: card.encode()})


def _licence_of_labels(given: GivenRun, document: Mapping[str, Any]) -> str | None:
    from leaderboard.results.schema import task_of

    if CYCLES_FILE not in given.files:
        return None
    card = task_of(document).card
    return card.licence if card is not None else "not known"


def _check_same_run(place: HubPlace, before: HubState, run_id: str, replace_other: bool) -> None:
    """Refuse to write over another run, or over files that are no run's; raises SpecError."""
    others = before.files - _NOT_OURS - {CARD}
    if replace_other or not others:
        return
    there = _run_there(place, before) if MANIFEST in others else None
    if there == run_id:
        return
    what = (
        f"holds the run {there}"
        if there
        else f"holds {counted_noun(len(others), 'file')} that `bench push` did not write"
    )
    raise SpecError(
        f"{place} {what}.", "Name another repository, or a branch (hf:OWNER/NAME@BRANCH); --replace takes its place."
    )


def _run_there(place: HubPlace, before: HubState) -> str | None:
    """The run that a repository holds, as its manifest says; None where that is another program's."""
    from bench.core.files import temporary_folder
    from bench.core.hub import told_plainly
    from bench.core.hub_sizes import bounded_file

    with temporary_folder("bench-push") as work, told_plainly(place, "read"):
        path = bounded_file(
            place.name, MANIFEST, work, str(place), repo_type=place.kind, revision=before.commit, local_dir=work
        )
        return run_of_manifest(path.read_bytes())
