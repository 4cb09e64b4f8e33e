"""The parts of combined results: finished runs, and what they must have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.core.datasets import FOUR_CLASSES
from bench.core.errors import ResultError
from bench.core.text import echoed
from leaderboard.results.run_result import RunResult
from leaderboard.results.schema import Part, ResultDocument, kind_of, task_of

SAME_DATA = ("dataset", "task", "data_fingerprint", "split", "partial")
"""Fields of the spec that say what a run was judged on; ``task`` is left out for the four classes."""


@dataclass(frozen=True, eq=False)
class FinishedPart:
    """A finished result that is a part of a combined one.

    Attributes:
        name: Name of the part; in an ensemble the id of its run.
        result: The result with its predictions.
        system: Hash of its spec without the seed, in hexadecimal characters.
        device: Recording device that it serves, where the combination routes by device.
        default: Whether it serves the devices that no other part does.
    """

    name: str
    result: RunResult
    system: str
    device: str | None = None
    default: bool = False

    @property
    def document(self) -> ResultDocument:
        """The result document."""
        return self.result.document

    @property
    def words(self) -> str:
        """The part for messages: its name, and the id of its run where that is another."""
        run_id = self.document["run_id"]
        return f"run {run_id}" if self.name == run_id else f"part '{echoed(self.name)}' (run {run_id})"

    @property
    def entry(self) -> Part:
        """The part as the combined document names it."""
        return part_entry(self.name, self.document["run_id"], self.device, self.default)


def part_entry(name: str, run_id: str, device: str | None = None, default: bool = False) -> Part:
    """Name a part as the document of a combined result does: device and default where it has them."""
    entry = Part(name=name, run_id=run_id)
    if device is not None:
        entry["device"] = device
    if default:
        entry["default"] = True
    return entry


def check_parts(parts: Sequence[FinishedPart]) -> None:
    """Check that parts are finished runs of this board that were judged on the same cycles; raises ResultError."""
    for part in parts:
        _check_part(part)
    first = parts[0]
    for other in parts[1:]:
        _check_same_data(first, other)


def _check_part(part: FinishedPart) -> None:
    kind, status = kind_of(part.document), part.document["status"]
    if kind == "trial":
        name = part.document["study"]["name"]
        raise ResultError(
            f"The {part.words} is a trial of the study '{echoed(name)}', which is no result of its own.",
            "Name a run with the parameters that the search found; --rerun trains the run of a trial again as a part.",
        )
    if kind == "submission":
        raise ResultError(
            f"The {part.words} is a submission, and only what was trained here can be combined.",
            "Combine its scores yourself and submit them with --ensemble.",
        )
    if status != "finished":
        raise ResultError(
            f"The {part.words} has not finished: its status is '{status}' ({echoed(part.document['error'], 200)}).",
            "Run it again, or leave it out.",
        )


def _check_same_data(first: FinishedPart, other: FinishedPart) -> None:
    for name in SAME_DATA:
        one, two = (_data_of(part.document["spec"]).get(name) for part in (first, other))
        if one != two:
            raise ResultError(
                f"The {first.words} and the {other.words} are of different data: {name} is {echoed(repr(one))} and "
                f"{echoed(repr(two))}.",
                "Combine runs on the same data.",
            )
    # Results say themselves what their classes are: of a set that is not registered here, they might say two things.
    one_task, two_task = task_of(first.document).task, task_of(other.document).task
    if one_task != two_task:
        raise ResultError(
            f"The {first.words} and the {other.words} describe the task '{echoed(one_task.id)}' in two ways.",
            "Combine runs that were judged alike.",
        )
    cycles, others = first.result.cycles, other.result.cycles
    assert cycles is not None
    assert others is not None
    if cycles.hash != others.hash:
        own = [len(set(a.keys) - set(b.keys)) for a, b in ((cycles, others), (others, cycles))]
        told = f"{own[0]} and {own[1]} are theirs alone" if any(own) else "classes, patients or devices differ"
        raise ResultError(
            f"The {first.words} and the {other.words} were judged on different cycles "
            f"({len(cycles)} and {len(others)}): {told}.",
            "Combine runs that were judged on the same cycles.",
        )


def _data_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What a run was judged on, by the name of the field."""
    return {"task": FOUR_CLASSES.id, **{name: spec[name] for name in SAME_DATA if name in spec}}
