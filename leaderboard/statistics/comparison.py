"""Two systems side by side on the same cycles: their Scores with intervals, the paired difference, and what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.core.datasets import FOUR_CLASSES, TaskCard
from bench.core.errors import ResultError
from leaderboard.metrics import Sensitivity
from leaderboard.results.schema import UNRANKED, Rule
from leaderboard.statistics.breakdown import (
    SystemCounts,
    breakdown,
    mean_of_known,
    optimism,
    patients_on_both_sides_of,
    read_system_counts,
    view_of,
)
from leaderboard.statistics.intervals import (
    Estimate,
    PairedEstimate,
    SystemEstimate,
    coverage_sentence,
    paired_difference,
    system_estimate,
)
from leaderboard.statistics.patient_hits import RATES
from leaderboard.statistics.row_statistics import BOARD_SPREAD, paper_spread
from leaderboard.statistics.seed_spread import PAPER_SPREAD, SeedSpread, pooled_seed_spread
from leaderboard.statistics.tested_parts import on_each_part, tested_part
from leaderboard.store.board_rows import BoardRun
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import Row, name_differences
from leaderboard.tables.sections import claims_official_set_wrongly, is_official, section_key, section_title
from leaderboard.tables.titles import system_title
from leaderboard.tasks import is_first_task

VIEWS = ("official", "patient-disjoint")
SIDES = ("a", "b")


@dataclass(frozen=True)
class Comparison:
    """Two systems side by side, and what their paired difference says.

    Attributes:
        protocol: The selection rule of all numbers.
        data: What the systems were judged on, in the board's words.
        systems: By side, ``a`` and ``b``: identity, seeds, runs, rates with deviation and interval by view and
            sensitivity, devices, classes, optimism.
        differences: By view and sensitivity, A minus B: each rate's ``value`` and ``ci95``, and ``favours_a``. None
            for a view that is not known.
        tied: Whether the interval of the difference of the official Scores by the exact class holds 0.
        sentence: The verdict in plain words.
        covers: What the intervals cover and what they leave out, in plain words.
        notes: What else a reader must know.
        task: What was judged.
        part: The tested part that all numbers are of; None where the task has one.
    """

    protocol: str
    data: str
    systems: dict[str, dict[str, Any]]
    differences: dict[str, dict[str, Any] | None]
    tied: bool
    sentence: str
    covers: str
    notes: tuple[str, ...]
    task: TaskCard = FOUR_CLASSES
    part: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The comparison as a JSON document."""
        return {
            "protocol": self.protocol,
            "data": self.data,
            **({} if is_first_task(self.task) else {"task": self.task.id, "part": self.part}),
            **self.systems,
            "difference": self.differences,
            "tied": self.tied,
            "sentence": self.sentence,
            "covers": self.covers,
            "notes": list(self.notes),
        }


def runs_of(
    store: Store, board: Sequence[BoardRun], text: str, protocol: Rule, *, single: bool = False
) -> list[BoardRun]:
    """Find the runs that a text means, sorted by seed.

    Args:
        store: The board.
        board: All its runs.
        text: A run's id or the beginning of one, or ``model/method`` or the name of a submitted system where that is
            one system alone.
        protocol: The selection rule that they must have numbers under.
        single: Whether a run stands for itself; otherwise it stands for its system, all seeds taken together.

    Raises:
        ResultError: If there is no such run or system, or several, or it has no numbers under the rule.
    """
    # A part of a composite stands for itself: it is no seed of the system that its spec alone would be.
    systems_named = [run for run in board if run.kind != "part"]
    named = [
        run for run in systems_named if run.spec.get("system", f"{run.spec['model']}/{run.spec['method']}") == text
    ]
    if not named:
        run_id = store.find(text)
        named = [run for run in board if run.run_id == run_id]
        if not single and named[0].kind != "part":
            named = [run for run in systems_named if run.system == named[0].system]
    able = sorted((run for run in named if protocol in run.metrics), key=lambda run: (run.spec["seed"], run.run_id))
    if not able:
        raise ResultError(f"'{text}' has no finished run with numbers under the rule '{protocol}'.")
    systems = {run.system: run.run_id for run in able}
    if len(systems) > 1:
        shown = ", ".join(list(systems.values())[:5]) + (", ..." if len(systems) > 5 else "")
        raise ResultError(f"'{text}' is {len(systems)} systems on this board.", f"Name one by a run of it: {shown}.")
    if single and len(able) > 1:
        raise ResultError(f"'{text}' is {len(able)} runs.", f"Name one: {', '.join(run.run_id for run in able[:5])}.")
    return able


def compare(
    store: Store, a: Sequence[BoardRun], b: Sequence[BoardRun], protocol: Rule, part: str | None = None
) -> Comparison:
    """Compare two systems on one tested part; the numbers of their seeds may differ.

    Args:
        store: The board, for the predictions.
        a: Runs of the first system, as :func:`runs_of` gives them.
        b: Runs of the second system.
        protocol: The selection rule of the numbers.
        part: Id of the tested part; the main one by default.

    Raises:
        SpecError: If their task has no such part.
        ResultError: If they share a run, were run on different data or judged on different cycles, or the cycles are
            of a single patient.
    """
    _check_comparable(a, b)
    a, b = ([_on_part(run, part) for run in of_side] for of_side in (a, b))
    task = a[0].judged_task.task
    runs = dict(zip(SIDES, (a, b), strict=True))
    views = {
        side: _judgeable_views(of_side, read_system_counts(store, of_side, protocol)) for side, of_side in runs.items()
    }
    whole = [views[side]["official"] for side in SIDES]
    _check_same_cycles(*whole)
    data = section_title(a[0])
    others = [run for run in on_each_part(store.runs()) if section_key(run) == section_key(a[0])]
    pooled = pooled_seed_spreads(others, protocol, official=paper_spread(a[0]) is not None)
    differences = {view: _differences(views["a"].get(view), views["b"].get(view), pooled) for view in VIEWS}
    strict = task.strict
    found = paired_difference(whole[0].by_patient, whole[1].by_patient, judged=strict, pooled=pooled[strict], task=task)
    systems = {side: _system_document(of_side, views[side], protocol, pooled) for side, of_side in runs.items()}
    name_differences(list(systems.values()))
    return Comparison(
        protocol=protocol,
        data=data,
        systems=systems,
        differences=differences,
        tied=found.score.holds_zero,
        sentence=verdict_sentence(found, *(_side_name(side, systems[side]) for side in SIDES)),
        covers=coverage_sentence(len(whole[0].patients), [len(a), len(b)], pooled[strict]),
        notes=_notes(a[0], differences),
        task=task,
        part=a[0].part,
    )


def _on_part(run: BoardRun, part: str | None) -> BoardRun:
    """The run on a tested part; raises SpecError where its task has none of that name, ResultError without numbers."""
    task = run.judged_task.task
    wanted = task.main if part is None else task.part(part)
    for seen in on_each_part([run]):
        if tested_part(seen).id == wanted.id:
            return seen
    raise ResultError(f"The run {run.run_id} has no numbers on the part '{wanted.id}'.")


def pooled_seed_spreads(
    runs: Sequence[BoardRun], protocol: Rule, official: bool
) -> dict[Sensitivity, SeedSpread | None]:
    """Give the seed spread that a system of one seed borrows, by sensitivity: that of the others in its section.

    Args:
        runs: The runs of the section.
        protocol: The selection rule of the numbers.
        official: Whether they were judged on the test part of the paper's rows, whose spread stands in.

    Returns:
        The spreads, None for a sensitivity whose spread is not known.
    """
    by_system: dict[str, list[BoardRun]] = {}
    for run in runs:
        if run.kind not in UNRANKED and protocol in run.metrics:
            by_system.setdefault(run.system, []).append(run)
    task = runs[0].judged_task.task if runs else FOUR_CLASSES
    found: dict[Sensitivity, SeedSpread | None] = {
        judged: pooled_seed_spread(
            (
                [[run.metrics[protocol][judged][name] for name in RATES] for run in seeds]
                for seeds in by_system.values()
            ),
            BOARD_SPREAD,
        )
        for judged in task.sensitivities
    }
    if official and found[task.strict] is None:
        found[task.strict] = PAPER_SPREAD
    return found


def _check_comparable(a: Sequence[BoardRun], b: Sequence[BoardRun]) -> None:
    if {run.run_id for run in a} & {run.run_id for run in b}:
        raise ResultError("A and B are one system, all its seeds taken together.", "--single compares single runs.")
    data = section_title(a[0]), section_title(b[0])
    of_task = [(run.judged_task.dataset, run.judged_task.task.id) for run in (a[0], b[0])]
    by_split = all(is_official(run) or claims_official_set_wrongly(run) for run in (a[0], b[0]))
    # Of two sets of cycles in one official split, the cycles themselves say what differs.
    if data[0] != data[1] and not (by_split and of_task[0] == of_task[1]):
        raise ResultError(f"A was run on '{data[0]}', B on '{data[1]}': their Scores cannot be compared.")


def _check_same_cycles(a: SystemCounts, b: SystemCounts) -> None:
    first, second = a.cycles, b.cycles
    if first.hash == second.hash:
        return
    own = [len(set(one.keys) - set(other.keys)) for one, other in ((first, second), (second, first))]
    told = f"{own[0]} are A's alone, {own[1]} are B's alone" if any(own) else "classes, patients or devices differ"
    raise ResultError(f"A and B were judged on different cycles ({len(first)} and {len(second)}): {told}.")


def _judgeable_views(runs: Sequence[BoardRun], counts: SystemCounts) -> dict[str, SystemCounts]:
    """Counts of the whole test part, and of it without patients who were trained on, where enough of it is left."""
    shared = patients_on_both_sides_of(runs[0])
    disjoint = None if shared is None else counts.without(shared)
    return {"official": counts, **({"patient-disjoint": disjoint} if disjoint and disjoint.has_interval else {})}


def _notes(run: BoardRun, differences: dict[str, dict[str, Any] | None]) -> tuple[str, ...]:
    notes = ["Simulated data prove the pipeline, never a method."] if run.judged_task.simulated else []
    if tested_part(run).patients_seen:
        return (*notes, "The patients of this part have recordings in training: its Scores say little of new patients.")
    if differences["patient-disjoint"] is None:
        notes.append("Patient-disjoint: not known of these runs, or too few patients are left.")
    return tuple(notes)


def _differences(
    a: SystemCounts | None, b: SystemCounts | None, pooled: Mapping[Sensitivity, SeedSpread | None]
) -> dict[str, Any] | None:
    if a is None or b is None:
        return None
    found = {
        judged: paired_difference(a.by_patient, b.by_patient, judged=judged, pooled=pooled[judged], task=a.task)
        for judged in a.task.sensitivities
    }
    return {judged: {**_rates(result), "favours_a": result.favours_a} for judged, result in found.items()}


def _rates(result: SystemEstimate | PairedEstimate) -> dict[str, Any]:
    """Each rate with its 95 % interval, which is None where nothing varies over patients or seeds."""
    estimates: dict[str, Estimate] = {name: getattr(result, name) for name in RATES}
    return {
        name: {"value": found.value, "ci95": None if found.is_degenerate else [found.lo, found.hi]}
        for name, found in estimates.items()
    }


def _system_document(
    runs: Sequence[BoardRun],
    views: dict[str, SystemCounts],
    protocol: str,
    pooled: Mapping[Sensitivity, SeedSpread | None],
) -> Row:
    spec, gaps = runs[0].spec, [optimism(run) for run in runs]
    parts = breakdown(views["official"], patients_on_both_sides_of(runs[0]))
    return {
        "kind": runs[0].kind,
        "name": spec.get("system"),
        **{name: spec[name] for name in ("model", "method", "pretrain")},
        "differs": {},
        "seeds": [run.spec["seed"] for run in runs],
        "run_ids": [run.run_id for run in runs],
        "scores": [run.metrics[protocol][views["official"].task.strict]["score"] for run in runs],
        "optimism": mean_of_known(gaps),
        "optimisms": gaps,
        "views": {view: _view_document(views[view], pooled) if view in views else None for view in VIEWS},
        "devices": parts["devices"],
        "classes": parts["classes"],
        "spec": {name: value for name, value in spec.items() if name != "seed"},
    }


def _view_document(counts: SystemCounts, pooled: Mapping[Sensitivity, SeedSpread | None]) -> Row:
    """Cycles, patients, and by sensitivity each rate with its deviation over seeds and its interval over patients."""
    plain = view_of(counts)
    found: Row = {"cycles": plain["cycles"], "patients": plain["patients"]}
    for judged in counts.task.sensitivities:
        estimate = system_estimate(counts.by_patient, judged=judged, pooled=pooled[judged], task=counts.task)
        rates = _rates(estimate)
        spread = plain if judged == counts.task.strict else plain["two_class"]
        found[judged] = {name: {**rates[name], "std": spread[f"{name}_std"]} for name in RATES}
    return found


def _side_name(side: str, system: Row) -> str:
    return f"{side.upper()} ({system['name'] or system_title(system)})"


def verdict_sentence(found: PairedEstimate, a: str, b: str) -> str:
    """Say in plain words which system is better, or that the data do not tell; of the runs alone without other seeds.

    Args:
        found: The estimated difference A minus B.
        a: What A is called in the sentence.
        b: What B is called in the sentence.
    """
    score = found.score
    if score.is_degenerate:
        return (
            f"{a} and {b} differ by {score.value:.2f} points of Score, for every patient alike: there is no interval."
        )
    ends = f"95 % interval {score.lo:.2f} to {score.hi:.2f} over patients" + " and seeds" * found.covers_seeds
    of_runs = "" if found.covers_seeds else " This is said of these runs, not of the methods: other seeds may differ."
    if score.holds_zero:
        told = f"The data do not tell {a} from {b}: the difference of {score.value:.2f} points ({ends}) may be none."
        return told + of_runs
    if score.value < 0:
        return verdict_sentence(_sides_swapped(found), b, a)
    return f"{a} is better than {b} by {score.value:.2f} points of Score ({ends}).{of_runs}"


def _sides_swapped(found: PairedEstimate) -> PairedEstimate:
    """Turn the difference A minus B into B minus A, so that the better system comes first in a sentence."""
    sp, se, score = (
        replace(rate, value=-rate.value, lo=-rate.hi, hi=-rate.lo) for rate in (found.sp, found.se, found.score)
    )
    return replace(found, sp=sp, se=se, score=score, favours_a=1.0 - found.favours_a)
