"""Trained runs, opened for new recordings: one, the parts of a composite or an ensemble, or several combined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.api.run_references import referred_run
from bench.api.words import known_word
from bench.core.errors import SpecError
from bench.core.text import echoed
from bench.engine.prediction import TrainedSystem
from bench.engine.trained import TrainedRun, open_trained_run, spec_here
from bench.experiment.initial_runs import InitialRun, initial_run_in
from leaderboard.results.combinations import POOLINGS, ROUTE
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.schema import COMBINED, RULES, kind_of

if TYPE_CHECKING:
    from bench.api.composites import CombinedRun
    from bench.api.run_result import Run

    RunReference = str | Path | Run | CombinedRun

USUAL_POOLING = "mean"
"""How several runs become one where nobody says it."""

OWN_PRECISION = "run"
"""The word for the precision that a run was trained in."""

PRECISIONS = (OWN_PRECISION, "fp32", "bf16", "fp16")


@dataclass(frozen=True)
class Opening:
    """How runs are opened.

    Attributes:
        device: ``auto``, ``cpu`` or ``cuda``.
        precision: One of :data:`PRECISIONS`.
        cache: The cache folder.
        plugins: Files that the user names.
        allow: Asked whether a plug-in may be run that a spec alone names.
    """

    device: str
    precision: str
    cache: Path
    plugins: Sequence[Path]
    allow: Callable[[str, Path], bool] | None


def open_system(references: Sequence[RunReference], combine: str, home: Path, opening: Opening) -> TrainedSystem:
    """Open what a user names as one system.

    Args:
        references: One or more runs, as :func:`bench.api.run_references.referred_run` takes them.
        combine: How the scores of several become one: ``mean``, ``product`` or ``max``.
        home: The results folder.
        opening: Where they compute.

    Raises:
        SpecError: If a run is missing, not finished or named twice, keeps no such weights, or several do not have the
            same classes; if one alone shall be combined otherwise than is usual.
        WeightsError: If weights are damaged, or those of something else.
    """
    known_word("combination", combine, POOLINGS)
    known_word("precision", opening.precision, PRECISIONS)
    if not references:
        raise SpecError("No run is named.", "Name one: `bench board list` shows those that there are.")
    systems: dict[str, TrainedSystem] = {}
    for reference in references:
        folder, which = referred_run(reference, home, opening.cache)
        opened = _opened(folder, which, opening)
        if opened.name in systems:
            raise SpecError(f"The run {opened.name} is named twice.", "Name each run once.")
        systems[opened.name] = opened
    if len(systems) == 1:
        if combine != USUAL_POOLING:
            raise SpecError(
                f"One run is named, so that there is nothing to combine by {combine}.",
                "Name others beside it: --with RUN.",
            )
        return next(iter(systems.values()))
    return checked(TrainedSystem("", combination=combine, parts=systems))


def checked(system: TrainedSystem) -> TrainedSystem:
    """Make sure that combined runs have the same classes; gives the system.

    Raises:
        SpecError: If they differ.
    """
    first, *others = system.runs
    for other in others:
        if other.classes != first.classes:
            raise SpecError(
                f"Run {first.run.run_id} has the classes {', '.join(first.classes)}, but run {other.run.run_id} has "
                f"{', '.join(other.classes)}.",
                "Combine runs of one task.",
            )
    return system


def _opened(folder: RunFolder, which: str, opening: Opening) -> TrainedSystem:
    """A run, or a combined one with its parts."""
    document = folder.read_document() if folder.has_result() else None
    if document is None or kind_of(document) not in COMBINED:
        run = initial_run_in(folder, which)
        return TrainedSystem(run.name, run=open_run(run, opening))
    if which not in RULES:
        raise SpecError(
            f"The run {document['run_id']} is combined of others and has no weights of '{which}'.",
            f"Name one of {', '.join(RULES)}.",
        )
    parts, served = dict[str, TrainedSystem](), dict[str, str | None]()
    for part in document["parts"]:
        parts[part["name"]] = _opened(_folder_of_part(folder, part["run_id"], document["run_id"]), which, opening)
        served[part["name"]] = None if part.get("default") else part.get("device")
    combination = str(document["spec"]["combine"])
    known_word("combination", combination, (*POOLINGS, ROUTE))
    found = TrainedSystem(f"{document['run_id']}:{which}", combination=combination, parts=parts, served=served)
    return checked(found)


def _folder_of_part(folder: RunFolder, part: str, whole: str) -> RunFolder:
    # Beside that of the whole: so they lie in a results folder, and in a copy of it.
    found = RunFolder(folder.path.absolute().parent / part)
    if not found.has_result():
        raise SpecError(
            f"The run {whole} is combined of others, but its part {part} is not in {echoed(found.path.parent, 300)}.",
            "Copy the folders of its parts beside its own.",
        )
    return found


def open_run(run: InitialRun, opening: Opening) -> TrainedRun:
    """Open one run; errors as for :func:`open_system`.

    Args:
        run: The run, and which of its weights are wanted.
        opening: Where it computes.
    """
    spec = spec_here(run, opening.device, opening.cache, opening.plugins, opening.allow)
    return open_trained_run(run, spec, None if opening.precision == OWN_PRECISION else opening.precision)
