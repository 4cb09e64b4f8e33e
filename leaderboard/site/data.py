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
from typing import NamedTuple, get_args

from bench.core.datasets import TaskCard
from bench.core.documents import collector_paused
from leaderboard.metrics import Sensitivity, metrics_of, rate_names
from leaderboard.results.schema import RULES, Rule
from leaderboard.site.system_predictions import MissedCycle, missed_cycles, read_predictions
from leaderboard.site.systems import HITS, Lens, Row, System, TestPart, sensitivity_of
from leaderboard.statistics.breakdown import SystemCounts, all_normal, breakdown, patients_on_both_sides_of
from leaderboard.statistics.comparison import pooled_seed_spreads
from leaderboard.statistics.row_statistics import (
    PLACE_FIELDS,
    RunKey,
    SectionUncertainty,
    add_intervals,
    coverage_notes,
    give_places,
    leading_rows,
    missing_notes,
    paper_spread,
    read_row_counts,
    row_key,
    runs_by_key,
    runs_of_row,
)
from leaderboard.statistics.seed_spread import SeedSpread
from leaderboard.store.board_rows import BoardRun, RunRecord
from leaderboard.store.store import Store
from leaderboard.tables.board_notes import board_notes
from leaderboard.tables.board_tables import Section, failed_rows, name_differences, system_sections
from leaderboard.tables.marks import add_marks
from leaderboard.tables.sections import runs_on_parts, section_order

TEST_PARTS: tuple[TestPart, ...] = get_args(TestPart)
RATES = ("sp", "se", "score")

MOST_SYSTEMS = 1000
MOST_RUNS = 2500
"""Systems, and runs behind them, whose predictions are looked at under one rule: a few seconds."""


@dataclass(frozen=True)
class SiteData:
    """All values of a board that the page and its downloads hold.

    Attributes:
        sections: Titles of the sections in the order shown, and whether their systems are ranked.
        systems: The systems in the order of the first selection rule that each has numbers under.
        runs: The runs behind the systems, by id.
        records: What is stored of each run beyond its numbers, by run id.
        failed: One row for each failed run.
        notes: By rule, sentences that belong below its numbers.
        spreads: By rule and section, the seed spread that a single seed is given in a comparison, by judged.
        missed: By rule and section, the cycles that most systems class wrongly.
        described: By title, a section with its data set, task and tested part, and some of its rows.
    """

    sections: Mapping[str, bool]
    systems: Sequence[System]
    runs: Mapping[str, BoardRun]
    records: Mapping[str, RunRecord]
    failed: Sequence[Row]
    notes: Mapping[str, Sequence[str]]
    spreads: Mapping[str, Mapping[str, Mapping[Sensitivity, SeedSpread | None]]] = field(default_factory=dict)
    missed: Mapping[str, Mapping[str, Sequence[MissedCycle]]] = field(default_factory=dict)
    described: Mapping[str, Section] = field(default_factory=dict)

    @property
    def lenses(self) -> list[Lens]:
        """Every choice of the switches, whether or not a system has numbers under it."""
        return [Lens(rule, part, judged) for rule in RULES for part in TEST_PARTS for judged in HITS]


@collector_paused()
def read_site_data(store: Store) -> SiteData:
    """Read everything of a board that the page shows."""
    runs = store.runs()
    by_id = {run.run_id: run for run in runs}
    on_parts = runs_on_parts(runs)
    by_key = runs_by_key(on_parts)
    systems: dict[SystemKey, System] = {}
    sections: dict[str, Section] = {}
    notes: dict[str, Sequence[str]] = {}
    for rule in RULES:
        found = system_sections(on_parts, rule)
        add_marks(store, on_parts, [section.rows for section in found], rule)
        sections.update({section.title: section for section in found})
        for section in found:
            for row in section.rows:
                _add_system(systems, section, row, by_key)
        notes[rule] = [*board_notes(runs, rule), *_add_lenses(store, found, systems, by_key, rule)]
    _name_all_differences(systems.values())
    known = list(systems.values())
    for rule in RULES:
        read_predictions(store, known, rule)
    shown = {run_id for system in systems.values() for rule in system.rules.values() for run_id in rule["run_ids"]}
    firsts = {title: by_key[row_key(section.rows[0])] for title, section in sections.items()}
    order = sorted(sections, key=lambda title: section_order(firsts[title], title))
    return SiteData(
        sections={title: sections[title].ranked for title in order},
        systems=list(systems.values()),
        runs={run_id: run for run_id, run in by_id.items() if run_id in shown},
        records={run_id: record for run_id, record in store.records().items() if run_id in shown},
        failed=failed_rows(runs),
        notes=notes,
        spreads={
            rule: {title: _section_spreads(known, title, firsts[title], by_key, rule) for title in sections}
            for rule in RULES
        },
        missed={rule: missed_cycles(known, rule) for rule in RULES},
        described={title: sections[title] for title in order},
    )


def _section_spreads(
    systems: Iterable[System], title: str, first: BoardRun, by_key: Mapping[RunKey, BoardRun], rule: Rule
) -> Mapping[Sensitivity, SeedSpread | None]:
    """The seed spreads that the comparison of two systems takes, by kind of hit: those of the section's systems."""
    mine = [
        by_key[run_id, first.part]
        for system in systems
        if system.section == title
        for run_id in _run_ids_of(system, rule)
    ]
    found = pooled_seed_spreads(mine, rule, official=paper_spread(first) is not None)
    return {hit: found.get(sensitivity_of(first.judged_task.task, hit)) for hit in HITS}


def _run_ids_of(system: System, rule: Rule) -> list[str]:
    found: list[str] = system.rules[rule]["run_ids"] if rule in system.rules else []
    return found


SystemKey = tuple[str | None, ...]
"""The hash of a system's spec, that of the cycles that it was judged on, and its part where its task has several."""


def _system_key(run: BoardRun) -> SystemKey:
    return (run.system, run.judged_set, *([run.part] if run.part else []))


def _add_system(
    systems: dict[SystemKey, System], section: Section, row: Row, by_key: Mapping[RunKey, BoardRun]
) -> None:
    """Add the system of a row, unless another selection rule has added it already."""
    run = by_key[row_key(row)]
    key = _system_key(run)
    if key not in systems:
        taken = {system.id for (spec, *_), system in systems.items() if spec == key[0]}
        name = next(name for name in _page_ids(key) if name not in taken)
        systems[key] = System(name, section.title, row, run, shared=patients_on_both_sides_of(run))


def _page_ids(key: SystemKey) -> Iterator[str]:
    """Ids that a system may have on the page: the beginning of its hash; where taken, of hash and cycles together."""
    yield str(key[0])[:12]
    yield sha256("".join(map(str, key)).encode()).hexdigest()[:12]


def _name_all_differences(systems: Iterable[System]) -> None:
    by_section: dict[str, list[Row]] = {}
    for system in systems:
        by_section.setdefault(system.section, []).append(system.row)
    for rows in by_section.values():
        name_differences(rows)


# --- the numbers under one rule ---------------------------------------------------------------------------------


class _PartCounts(NamedTuple):
    """Confusion counts of a system's runs on one part of the test cycles, and the rates that follow from them."""

    counts: SystemCounts
    breakdown: Row


@dataclass(frozen=True, eq=False)
class _SystemUnderRule:
    """A system under one selection rule: its row, its runs, and their counts on each part, as far as they are known."""

    system: System
    row: Row
    runs: Sequence[BoardRun]
    parts: Mapping[TestPart, _PartCounts]


def _add_lenses(
    store: Store,
    sections: Sequence[Section],
    systems: Mapping[SystemKey, System],
    by_key: Mapping[RunKey, BoardRun],
    rule: Rule,
) -> list[str]:
    """Add the numbers of all lenses of one rule to its systems.

    Returns:
        Notes on what the intervals cover and on the systems that were left without one.
    """
    rows = [row for section in sections for row in section.rows]
    able = leading_rows(rows, MOST_SYSTEMS, MOST_RUNS)
    counts = dict(zip(map(row_key, able), read_row_counts(store, able, by_key, rule), strict=True))
    shown: list[SectionUncertainty] = []
    for section in sections:
        judged = [
            _system_under_rule(systems, row, runs_of_row(row, by_key), counts.get(row_key(row))) for row in section.rows
        ]
        for item in judged:
            item.system.rules[rule] = _rule_facts(item.row, item.runs)
            if TEST_PARTS[0] in item.parts:
                item.system.counts[rule] = item.parts[TEST_PARTS[0]].counts
        for part in TEST_PARTS:
            for which in HITS:
                found = _add_lens(judged, Lens(rule, part, which), section.ranked)
                if (part, which) == (TEST_PARTS[0], HITS[0]):
                    shown.append(found)
    known = sum(counted is not None for counted in counts.values())
    without_interval = sum(found.without_interval for found in shown)
    firsts = [by_key[row_key(section.rows[0])] for section in sections]
    return [*coverage_notes(shown, firsts), *missing_notes(len(rows), len(able), len(able) - known, without_interval)]


def _system_under_rule(
    systems: Mapping[SystemKey, System], row: Row, mine: Sequence[BoardRun], counts: SystemCounts | None
) -> _SystemUnderRule:
    shared = patients_on_both_sides_of(mine[0])
    known: dict[TestPart, SystemCounts] = {}
    if counts is not None:
        known["official"] = counts
        if shared is not None:
            known["patient-disjoint"] = counts.without(shared)
    parts = {part: _PartCounts(counted, breakdown(counted, None)) for part, counted in known.items()}
    return _SystemUnderRule(systems[_system_key(mine[0])], row, mine, parts)


def _rule_facts(row: Row, runs: Sequence[BoardRun]) -> Row:
    names = ("seeds", "run_ids", "optimism", "optimisms", "selected_epochs", "below_min_se")
    date = max(run.created for run in runs)[:10]
    return {
        **{name: row[name] for name in names},
        "date": date,
        "state": row.get("state"),
        "marks": row.get("marks", []),
    }


def _add_lens(judged: Sequence[_SystemUnderRule], lens: Lens, ranked: bool) -> SectionUncertainty:
    """Add the numbers of one lens to the systems of a section.

    Returns:
        What was found beside the numbers of each system.
    """
    known = [(item, values) for item in judged if (values := _lens_values(item, lens)) is not None]
    known.sort(key=lambda pair: -pair[1]["score"])
    rows = [values for _, values in known]
    if ranked:
        give_places(rows)
    counted = [(values, item.parts[lens.part].counts) for item, values in known if lens.part in item.parts]
    for item, values in known:
        item.system.lenses[lens] = values
    borrowed = paper_spread(judged[0].system.seen) if lens.judged == HITS[0] else None
    found = add_intervals(
        [values for values, _ in counted],
        [counts for _, counts in counted],
        sensitivity_of(judged[0].system.task, lens.judged),
        borrowed,
    )
    for values in rows if ranked else ():
        values["floor"] = found.floor
    return found


def _lens_values(item: _SystemUnderRule, lens: Lens) -> Row | None:
    """A system's numbers under one lens; None where they are not known or there is no Score."""
    seen = item.parts.get(lens.part)
    if seen is None:
        return _stored_values(item, lens) if lens.part == "official" else None
    task = item.system.task
    view = seen.breakdown["views"]["official"]  # all cycles of the part
    rates = _rates(view, lens.judged, task)
    if rates["score"] is None:
        return None
    matrices = seen.counts.counts.sum(axis=1)
    return {
        **_empty_places(),
        **rates,
        "cycles": view["cycles"],
        "patients": view["patients"],
        "by_seed": [_confusion_rates(matrix.tolist(), lens.judged, task) for matrix in matrices],
        "confusion": matrices.sum(axis=0).tolist(),
        "devices": {name: _device_rates(one, lens.judged, task) for name, one in seen.breakdown["devices"].items()},
        "classes": seen.breakdown["classes"],
    }


def _empty_places() -> Row:
    return dict.fromkeys(PLACE_FIELDS)


def _rates(view: Row, hit: Sensitivity, task: TaskCard) -> Row:
    values = view if hit == HITS[0] else view["two_class"] or view
    return {name: values[name] for rate in rate_names(task.score) for name in (rate, f"{rate}_std")}


def _device_rates(view: Row, hit: Sensitivity, task: TaskCard) -> Row:
    return {"cycles": view["cycles"], "patients": view["patients"], **_rates(view, hit, task)}


def _confusion_rates(confusion: list[list[int]], hit: Sensitivity, task: TaskCard) -> Row:
    metrics = metrics_of(confusion, sensitivity_of(task, hit), task=task)
    return {"sp": metrics["sp"], "se": metrics["se"], "score": metrics["score"]}


def _stored_values(item: _SystemUnderRule, lens: Lens) -> Row:
    """The numbers as the runs stored them, for a system beyond the limits whose predictions are not read."""
    judged = sensitivity_of(item.system.task, lens.judged)
    return {
        **_empty_places(),
        **_rates(item.row, lens.judged, item.system.task),
        "cycles": item.row["cycles"],
        "patients": None,
        "by_seed": [{rate: run.metrics[lens.rule][judged][rate] for rate in RATES} for run in item.runs],
        "confusion": None,
        "devices": {},
        "classes": {},
    }


def reference(task: TaskCard) -> Row:
    """The row to compare with, whatever the lens."""
    return {"name": "every cycle called normal", **all_normal(task)}
