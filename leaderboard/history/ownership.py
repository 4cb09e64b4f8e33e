"""To whom the name of a submitted system belongs: the key that it was first submitted with.

Only that key adds seeds to it or changes what is stated of it. A name that was first submitted without a key belongs
to nobody: seeds without a key may join it and are marked, but nothing that stands is changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.core.text import echoed, folded
from leaderboard.history.log import History
from leaderboard.history.signatures import submitter_key
from leaderboard.store.board_rows import BoardRun
from leaderboard.store.result_rows import system_hash
from leaderboard.store.store import Store


@dataclass(frozen=True)
class Owner:
    """The owner of a system's name.

    Attributes:
        key: The owner's public key; None where the name was first submitted without one, so that nobody owns it.
    """

    key: str | None


@dataclass(frozen=True)
class Owners:
    """The owners of the names of submitted systems on a board.

    Attributes:
        history: The history of the board.
        runs: The runs on the board.
    """

    history: History
    runs: Sequence[BoardRun]

    @classmethod
    def of(cls, store: Store) -> Owners:
        """Read the owners of the names on a board as it is now."""
        return cls(store.history(), store.runs())

    def owner(self, name: str) -> Owner | None:
        """Find the owner of a name; None where the name is free.

        A name stays its owner's when all its runs were taken back: otherwise somebody else could take it over by
        waiting for that. Boards of older versions have runs without a log; there the oldest run decides.
        """
        wanted = folded(self.history.original(name))
        if wanted in self.history.owners:
            return Owner(self.history.owners[wanted])
        mine = [
            run
            for run in self.runs
            if run.kind == "submission" and folded(self.history.original(run.spec.get("system", ""))) == wanted
        ]
        return Owner(submitter_key(min(mine, key=lambda run: (run.created, run.run_id)).extra)) if mine else None

    def owner_of_run(self, run_id: str) -> Owner | None:
        """Find the owner of a submission on the board; None for what is no submission, or not there."""
        for run in self.runs:
            if run.run_id == run_id and run.kind == "submission":
                return self.owner(run.spec["system"])
        return None

    def holds(self, run_id: str) -> bool:
        """Whether a run is on the board."""
        return any(run.run_id == run_id for run in self.runs)

    def refusal_reason(self, document: Mapping[str, Any]) -> str | None:
        """Say why a submission cannot come onto the board; None where it can, and for runs that were made here."""
        if document.get("kind") != "submission":
            return None
        return self._refusal_of_foreign_name(document) or self._refusal_of_second_seed(document)

    def _refusal_of_foreign_name(self, document: Mapping[str, Any]) -> str | None:
        name = document["spec"]["system"]
        owner, key = self.owner(name), submitter_key(document)
        if owner is None or owner.key == key:
            return None
        if owner.key is None:
            return f"the system '{echoed(name)}' was submitted without a key, so that nobody can show that it is theirs"
        given = "this is not signed" if key is None else f"this is signed by {key}"
        return f"the system '{echoed(name)}' belongs to the key {owner.key}, and {given}"

    def _refusal_of_second_seed(self, document: Mapping[str, Any]) -> str | None:
        rule, seed = document["submission"]["selection"], document["spec"]["seed"]
        system, judged = system_hash(document["spec"]), document.get("judged_set")
        for run in self.runs:
            if (run.system, run.spec["seed"], run.kind) != (system, seed, "submission") or rule not in run.metrics:
                continue
            if run.run_id != document["run_id"] and judged in (None, run.judged_set):
                name = echoed(document["spec"]["system"])
                return f"the board holds other predictions of '{name}' with seed {seed} under {rule}: {run.run_id}"
        return None


def board_run_of(document: Mapping[str, Any], judged_set: str | None) -> BoardRun:
    """Make the run that a submission will be on the board, as far as ownership asks for it.

    Submissions of one bundle are judged one after another, each against those before it that are not stored yet.
    """
    return BoardRun(
        run_id=document["run_id"],
        system=system_hash(document["spec"]),
        status=document["status"],
        error=None,
        created=document["created"],
        profile=document["profile"],
        partial=document["partial"],
        seconds=None,
        cycles_per_second=None,
        spec=dict(document["spec"]),
        kind="submission",
        extra={"submission": document["submission"]},
        judged_set=judged_set,
        metrics={rule: values for rule, values in document["metrics"].items() if values is not None},
    )
