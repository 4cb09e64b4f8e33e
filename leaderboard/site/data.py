"""What the page shows, as plain values: every system under every rule, on every part, judged in every way.

A *lens* is one choice of the page's switches: selection rule, part of the test cycles, and which sensitivity. Every
number, place, interval and rank of a lens comes from the same functions as those of the other reports
(:mod:`leaderboard.tables.board_tables`, :mod:`leaderboard.statistics`), so that the page never says anything else;
its script formats, sorts and filters, and computes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple, get_args

from bench.core.documents import collector_paused
from leaderboard.metrics import JUDGED, Judged, metrics_of
from leaderboard.results.schema import RULES, Rule
from leaderboard.site.answers import MissedCycle, missed_cycles, read_answers
from leaderboard.site.systems import Lens, Part, Row, System
from leaderboard.statistics.breakdown import ALL_NORMAL, SystemCounts, both_sides_of, breakdown
from leaderboard.statistics.comparison import seed_spreads
from leaderboard.statistics.intervals import SeedSpread
from leaderboard.statistics.row_places import (
    PLACES,
    Uncertainty,
    add_intervals,
    covered_notes,
    give_places,
    missing_notes,
    read_counts,
    within_limits,
)
from leaderboard.store.store import BoardRun, RunRecord, Store
from leaderboard.tables.board_tables import (
    SIMULATED,
    Section,
    board_notes,
    failed_rows,
    name_differences,
    system_sections,
)
from leaderboard.tables.marks import add_marks

PARTS: tuple[Part, ...] = get_args(Part)
RATES = ("sp", "se", "score")

MOST_SYSTEMS = 1000
MOST_RUNS = 2500
"""Systems, and runs behind them, whose predictions are looked at under one rule: a few seconds."""


@dataclass(frozen=True)
class Board:
    """All that the page and its downloads hold.

    Attributes:
        sections: Titles in the order shown, and whether their systems are ranked.
        systems: In the order of the first rule that each has numbers under.
        runs: The runs behind them, by id.
        records: What is stored of each run beyond its numbers.
        failed: One row for each failed run.
        notes: By rule, sentences that belong below its numbers.
        spreads: By rule and section, the seed spread that a single seed is given in a comparison, by judged.
        missed: By rule and section, the cycles that most systems miss.
    """

    sections: Mapping[str, bool]
    systems: Sequence[System]
    runs: Mapping[str, BoardRun]
    records: Mapping[str, RunRecord]
    failed: Sequence[Row]
    notes: Mapping[str, Sequence[str]]
    spreads: Mapping[str, Mapping[str, Mapping[Judged, SeedSpread | None]]] = field(default_factory=dict)
    missed: Mapping[str, Mapping[str, Sequence[MissedCycle]]] = field(default_factory=dict)

    @property
    def lenses(self) -> list[Lens]:
        """Every choice of the switches, whether or not a system has numbers under it."""
        return [Lens(rule, part, judged) for rule in RULES for part in PARTS for judged in JUDGED]


@collector_paused()
def read_board(store: Store) -> Board:
    """Everything that the page shows of a board."""
    runs = store.runs()
    by_id = {run.run_id: run for run in runs}
    systems: dict[SystemKey, System] = {}
    sections: dict[str, bool] = {}
    notes: dict[str, Sequence[str]] = {}
    for rule in RULES:
        found = system_sections(runs, rule)
        add_marks(store, by_id, [section.rows for section in found], rule)
        sections.update({section.title: section.ranked for section in found})
        for section in found:
            for row in section.rows:
                _system(systems, section, row, by_id)
        notes[rule] = [*board_notes(runs, rule), *_add_lenses(store, found, systems, by_id, rule)]
    _tell_apart(systems.values())
    known = list(systems.values())
    for rule in RULES:
        read_answers(store, known, rule)
    shown = {run_id for system in systems.values() for rule in system.rules.values() for run_id in rule["run_ids"]}
    order = sorted(sections, key=lambda title: (not sections[title], title.startswith(SIMULATED), title))
    return Board(
        sections={title: sections[title] for title in order},
        systems=list(systems.values()),
        runs={run_id: run for run_id, run in by_id.items() if run_id in shown},
        records={run_id: record for run_id, record in store.records().items() if run_id in shown},
        failed=failed_rows(runs),
        notes=notes,
        spreads={
            rule: {title: _spreads(known, title, sections[title], by_id, rule) for title in sections} for rule in RULES
        },
        missed={rule: missed_cycles(known, rule) for rule in RULES},
    )


def _spreads(
    systems: Iterable[System], title: str, ranked: bool, runs: Mapping[str, BoardRun], rule: Rule
) -> Mapping[Judged, SeedSpread | None]:
    """As the comparison of two systems takes them: of all systems in their section."""
    mine = [runs[run_id] for system in systems if system.section == title for run_id in _runs_of(system, rule)]
    return seed_spreads(mine, rule, ranked)


def _runs_of(system: System, rule: Rule) -> list[str]:
    found: list[str] = system.rules[rule]["run_ids"] if rule in system.rules else []
    return found


SystemKey = tuple[str, str | None]
"""The hash of a system's spec, and that of the cycles that it was judged on."""


def _key(run: BoardRun) -> SystemKey:
    return run.system, run.judged_set


def _system(systems: dict[SystemKey, System], section: Section, row: Row, runs: Mapping[str, BoardRun]) -> None:
    """Make the system of a row, or find it where another rule has it already."""
    key = _key(runs[row["run_ids"][0]])
    if key not in systems:
        taken = {system.id for (spec, _), system in systems.items() if spec == key[0]}
        name = next(name for name in _ids(key) if name not in taken)
        systems[key] = System(name, section.title, row, shared=both_sides_of(runs[row["run_ids"][0]]))


def _ids(key: SystemKey) -> Iterator[str]:
    """Names of a system on the page: the beginning of its hash, or of that with its cycles where that is taken."""
    yield key[0][:12]
    yield sha256("".join(map(str, key)).encode()).hexdigest()[:12]


def _tell_apart(systems: Iterable[System]) -> None:
    by_section: dict[str, list[Row]] = {}
    for system in systems:
        by_section.setdefault(system.section, []).append(system.row)
    for rows in by_section.values():
        name_differences(rows)


# --- the numbers under one rule ---------------------------------------------------------------------------------


class _Seen(NamedTuple):
    """What a system's runs said on a part, and that in numbers."""

    counts: SystemCounts
    breakdown: Row


@dataclass(frozen=True, eq=False)
class _Judged:
    """A system under one rule: its row, its runs, and what they said on each part as far as that is known."""

    system: System
    row: Row
    runs: Sequence[BoardRun]
    parts: Mapping[Part, _Seen]


def _add_lenses(
    store: Store,
    sections: Sequence[Section],
    systems: Mapping[SystemKey, System],
    runs: Mapping[str, BoardRun],
    rule: Rule,
) -> list[str]:
    """Add the lenses of one rule to its systems; gives notes on those that were left without an interval."""
    rows = [row for section in sections for row in section.rows]
    able = within_limits(rows, MOST_SYSTEMS, MOST_RUNS)
    counts = dict(zip((row["run_ids"][0] for row in able), read_counts(store, able, rule), strict=True))
    shown: list[Uncertainty] = []
    for section in sections:
        judged = [_judged(row, systems, runs, counts.get(row["run_ids"][0])) for row in section.rows]
        for item in judged:
            item.system.rules[rule] = _rule_facts(item.row, item.runs)
            if PARTS[0] in item.parts:
                item.system.counts[rule] = item.parts[PARTS[0]].counts
        for part in PARTS:
            for which in JUDGED:
                found = _add_lens(judged, Lens(rule, part, which), section.ranked)
                if (part, which) == (PARTS[0], JUDGED[0]):
                    shown.append(found)
    known = sum(counted is not None for counted in counts.values())
    lone = sum(found.lone for found in shown)
    return [*covered_notes(shown), *missing_notes(len(rows), len(able), len(able) - known, lone)]


def _judged(
    row: Row, systems: Mapping[SystemKey, System], runs: Mapping[str, BoardRun], counts: SystemCounts | None
) -> _Judged:
    mine = [runs[run_id] for run_id in row["run_ids"]]
    shared = both_sides_of(mine[0])
    known: dict[Part, SystemCounts] = {}
    if counts is not None:
        known["official"] = counts
        if shared is not None:
            known["patient-disjoint"] = counts.without(shared)
    parts = {part: _Seen(counted, breakdown(counted, None)) for part, counted in known.items()}
    return _Judged(systems[_key(mine[0])], row, mine, parts)


def _rule_facts(row: Row, runs: Sequence[BoardRun]) -> Row:
    names = ("seeds", "run_ids", "optimism", "optimisms", "selected_epochs", "below_min_se")
    date = max(run.created for run in runs)[:10]
    return {
        **{name: row[name] for name in names},
        "date": date,
        "state": row.get("state"),
        "marks": row.get("marks", []),
    }


def _add_lens(judged: Sequence[_Judged], lens: Lens, ranked: bool) -> Uncertainty:
    """Add one lens to the systems of a section; gives what was found beside the numbers."""
    known = [(item, values) for item in judged if (values := _values(item, lens)) is not None]
    known.sort(key=lambda pair: -pair[1]["score"])
    rows = [values for _, values in known]
    if ranked:
        give_places(rows)
    counted = [(values, item.parts[lens.part].counts) for item, values in known if lens.part in item.parts]
    for item, values in known:
        item.system.lenses[lens] = values
    found = add_intervals([values for values, _ in counted], [counts for _, counts in counted], lens.judged)
    for values in rows if ranked else ():
        values["floor"] = found.floor
    return found


def _values(item: _Judged, lens: Lens) -> Row | None:
    """A system's numbers on a part judged in one way; None where they are not known or there is no Score."""
    seen = item.parts.get(lens.part)
    if seen is None:
        return _stored(item, lens) if lens.part == "official" else None
    view = seen.breakdown["views"]["official"]  # all cycles of the part
    rates = _rates(view, lens.judged)
    if rates["score"] is None:
        return None
    matrices = seen.counts.counts.sum(axis=1)
    return {
        **_place(),
        **rates,
        "cycles": view["cycles"],
        "patients": view["patients"],
        "by_seed": [_of_matrix(matrix.tolist(), lens.judged) for matrix in matrices],
        "confusion": matrices.sum(axis=0).tolist(),
        "devices": {name: _part(device, lens.judged) for name, device in seen.breakdown["devices"].items()},
        "classes": seen.breakdown["classes"],
    }


def _place() -> Row:
    return dict.fromkeys(PLACES)


def _rates(view: Row, judged: Judged) -> Row:
    values = view if judged == "4class" else view["two_class"]
    return {name: values[name] for rate in RATES for name in (rate, f"{rate}_std")}


def _part(view: Row, judged: Judged) -> Row:
    return {"cycles": view["cycles"], "patients": view["patients"], **_rates(view, judged)}


def _of_matrix(confusion: list[list[int]], judged: Judged) -> Row:
    metrics = metrics_of(confusion, judged)
    return {"sp": metrics["sp"], "se": metrics["se"], "score": metrics["score"]}


def _stored(item: _Judged, lens: Lens) -> Row:
    """The numbers as the runs stored them, for a system whose predictions are not looked at."""
    return {
        **_place(),
        **_rates(item.row, lens.judged),
        "cycles": item.row["cycles"],
        "patients": None,
        "by_seed": [{rate: run.metrics[lens.rule][lens.judged][rate] for rate in RATES} for run in item.runs],
        "confusion": None,
        "devices": {},
        "classes": {},
    }


REFERENCE: Mapping[str, Any] = {"name": "every cycle called normal", **ALL_NORMAL}
"""The row to compare with, whatever the lens."""
