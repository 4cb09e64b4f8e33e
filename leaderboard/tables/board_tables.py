"""Tables of the board as plain values: which runs make a row, what its numbers are, who is ranked.

A row is a *system*: the runs whose specs differ in nothing but the seed. Its numbers are means over those runs under
one selection rule; each seed is listed, and ± is the sample standard deviation (none for a single seed). Ranks are
given by the mean Score by the exact class within one rule, to finished runs on the whole of a real data set alone
that were judged on its official test cycles (leaderboard.tables.sections), as far as the data tell rows apart
(``rank_intervals``). Every data set, task and tested part has a section of its own, every other set of judged cycles
too, and so have failed runs. The trials of a search make no row:
they choose hyper-parameters, mostly on held-out training patients. The runs that end a search do, with what it cost in
a note. The parts of a composite system make none either: they lie on a shelf, which a note tells of, and the composite
is ranked as one system.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bench.core.datasets import ANY_ABNORMAL, FOUR_CLASSES, TaskCard, TestPart
from bench.core.documents import collector_paused
from leaderboard.history.signatures import submitter_key
from leaderboard.metrics import rate_names
from leaderboard.results.inputs import UNDECLARED, inputs_of
from leaderboard.results.schema import RULES, Rule
from leaderboard.statistics.breakdown import all_normal, mean_of_known, optimism, optimism_of_val
from leaderboard.statistics.row_statistics import EMPTY_STATISTICS, add_statistics, give_places
from leaderboard.statistics.seed_spread import mean_and_deviation
from leaderboard.statistics.tested_parts import tested_part
from leaderboard.store.board_rows import BoardRun
from leaderboard.store.store import Store
from leaderboard.tables.board_notes import board_notes, is_below_min_se
from leaderboard.tables.marks import add_marks, mark_notes
from leaderboard.tables.sections import (
    goes_unsaid,
    is_ranked,
    ranked_kinds,
    runs_on_parts,
    section_key,
    section_order,
    section_titles,
)
from leaderboard.tasks import JudgedTask, is_first_task

FAILED = "failed runs"

Row = dict[str, Any]


@dataclass(frozen=True)
class Section:
    """A part of a table whose rows may be compared with each other.

    Attributes:
        title: What the rows have in common, in words.
        kind: Which columns the renderers show, for example ``systems``, ``runs`` or ``failed``.
        rows: Plain values by name.
        ranked: Whether the rows carry ranks.
        reference: A row to compare with that no run stands behind; not among ``rows``.
        floor: The smallest difference of Score that the section's test part can show between two methods at five
            seeds, points; None where it is not known.
        judged_set: Hash of the cycles that the rows were judged on (:mod:`leaderboard.results.judged_set`).
        judged: What the rows were judged on; None of a section that is of no one task.
        part: The tested part that the numbers are of, where the task has several.
    """

    title: str
    kind: str
    rows: Sequence[Row]
    ranked: bool = False
    reference: Row | None = None
    floor: float | None = None
    judged_set: str | None = None
    judged: JudgedTask | None = None
    part: TestPart | None = None

    @property
    def task(self) -> TaskCard:
        """The task that the rows were judged by."""
        return self.judged.task if self.judged else FOUR_CLASSES

    @property
    def names(self) -> dict[str, Any]:
        """Data set, task and part as a document names them; nothing where they go unsaid."""
        if self.judged is None or goes_unsaid(self.judged):
            return {}
        part = {"part": self.part.id, "patients_seen": self.part.patients_seen} if self.part else {}
        return {"dataset": self.judged.dataset, "task": self.task.id, **part}


@dataclass(frozen=True)
class Table:
    """A table as data; renderers choose the form.

    Attributes:
        name: Name of the table, for example ``leaderboard`` or ``runs``.
        protocol: The selection rule of the table's numbers.
        sections: The sections in the order shown; none is empty.
        notes: Sentences that belong below the table.
        marks: What the marks of the rows mean, and what was seen (:mod:`leaderboard.tables.marks`).
        empty: What is said where there are no sections.
    """

    name: str
    protocol: str
    sections: Sequence[Section]
    notes: Sequence[str] = field(default_factory=tuple)
    marks: Sequence[str] = field(default_factory=tuple)
    empty: str = "The board is empty."

    @property
    def below(self) -> list[str]:
        """All sentences that belong below the table: the notes, then what the marks mean."""
        return [*self.notes, *self.marks]

    def to_json(self) -> dict[str, Any]:
        """The table as a JSON document."""
        return {
            "table": self.name,
            "protocol": self.protocol,
            "sections": [
                {
                    "title": s.title,
                    "ranked": s.ranked,
                    "rows": list(s.rows),
                    "reference": s.reference,
                    "resolution_floor": s.floor,
                    "judged_set": s.judged_set,
                    **s.names,
                }
                for s in self.sections
            ],
            "notes": list(self.notes),
        }


@collector_paused()
def leaderboard_table(
    store: Store,
    protocol: Rule = "last",
    *,
    failed: bool = True,
    dataset: str | None = None,
    task: str | None = None,
) -> Table:
    """Make the table of the board under one selection rule.

    Args:
        store: The board.
        protocol: The selection rule of numbers and ranks.
        failed: Whether failed runs are listed too.
        dataset: Id of the data set whose runs are shown; all by default.
        task: Id of the task whose runs are shown; all by default.
    """
    runs = [run for run in store.runs() if _is_of(run, dataset, task)]
    on_parts = runs_on_parts(runs)
    sections = system_sections(on_parts, protocol)
    statistics, notes = add_statistics(store, on_parts, [section.rows for section in sections], protocol)
    add_marks(store, on_parts, [section.rows for section in sections], protocol)
    marks = mark_notes([row for section in sections for row in section.rows])
    sections = [replace(section, floor=one.floor) for section, one in zip(sections, statistics, strict=True)]
    broken = failed_rows(runs)
    if failed and broken:
        sections.append(Section(FAILED, "failed", broken))
    found = Table("leaderboard", protocol, sections, [*board_notes(runs, protocol), *notes], marks)
    chosen = ", ".join(filter(None, (dataset, task)))
    return replace(found, empty=f"The board holds no run of {chosen}.") if chosen else found


def _is_of(run: BoardRun, dataset: str | None, task: str | None) -> bool:
    judged = run.judged_task
    return dataset in (None, judged.dataset) and task in (None, judged.task.id)


def system_sections(runs: Sequence[BoardRun], protocol: Rule) -> list[Section]:
    """Group the runs that have numbers under a rule into systems and sections, without intervals, ranks and marks.

    Args:
        runs: Runs on each part.
        protocol: The selection rule.
    """
    titles = section_titles(runs)
    shown = [run for run in ranked_kinds(runs) if protocol in run.metrics]
    grouped = _grouped_by(shown, lambda run: titles[section_key(run)])
    ordered = sorted(grouped, key=lambda group: section_order(group[1][0], group[0]))
    return [_systems_section(title, part, protocol) for title, part in ordered]


def runs_table(store: Store) -> Table:
    """Make the table of every run on the board, the newest first, with its numbers under ``last``."""
    rows = [_run_row(run) for run in reversed(store.runs())]
    return Table("runs", "last", [Section("runs", "runs", rows)] if rows else [])


def _grouped_by(runs: Iterable[BoardRun], key: Callable[[BoardRun], str]) -> list[tuple[str, list[BoardRun]]]:
    parts: dict[str, list[BoardRun]] = {}
    for run in runs:
        parts.setdefault(key(run), []).append(run)
    return list(parts.items())


def _systems_section(title: str, runs: Sequence[BoardRun], protocol: Rule) -> Section:
    ranked, judged = is_ranked(runs[0]), runs[0].judged_task
    rows = [_system_row(seeds, protocol) for _, seeds in _grouped_by(runs, lambda run: run.system)]
    rows.sort(key=lambda row: (-row["score"], row["name"] or "", row["model"], row["method"]))
    name_differences(rows)
    if ranked:
        give_places(rows)
    part = tested_part(runs[0]) if judged.task.other_parts else None
    reference = _reference_row(judged.task, tested_part(runs[0])) if ranked else None
    return Section(title, "systems", rows, ranked, reference, judged_set=runs[0].judged_set, judged=judged, part=part)


def _reference_row(task: TaskCard, part: TestPart) -> Row:
    rates = all_normal(task)
    views = {
        "two_class": dict(rates) if len(task.sensitivities) > 1 else None,
        "patient_disjoint": None if part.patients_seen else dict(rates),
    }
    return {
        **EMPTY_STATISTICS,
        "reference": "every cycle called normal",
        "seeds": [],
        **rates,
        **views,
        "optimism": None,
        "optimism_of_val": None,
        "marks": [],
        "state": None,
    }


def _system_row(runs: Sequence[BoardRun], protocol: Rule) -> Row:
    runs = sorted(runs, key=lambda run: (run.spec["seed"], run.run_id))
    spec, task = runs[0].spec, runs[0].judged_task.task
    gaps = [optimism(run) for run in runs]
    strict, either = task.strict, ANY_ABNORMAL if len(task.sensitivities) > 1 else None
    return {
        **EMPTY_STATISTICS,
        **({"part": runs[0].part} if runs[0].part else {}),
        "kind": runs[0].kind,
        "name": spec.get("system"),
        **{name: spec[name] for name in ("model", "method", "pretrain")},
        "differs": {},
        **_chosen_values(runs),
        "study": next((run.extra["study"] for run in runs if "study" in run.extra), None),
        "seeds": [run.spec["seed"] for run in runs],
        "run_ids": [run.run_id for run in runs],
        **_mean_rates(runs, protocol, strict),
        "two_class": _mean_rates(runs, protocol, either) if either else None,
        "scores": [run.metrics[protocol][strict]["score"] for run in runs],
        "optimism": mean_of_known(gaps),
        "optimisms": gaps,
        "optimism_of_val": mean_of_known([optimism_of_val(run) for run in runs]),
        "state": "recomputed",
        # Of a run whose length is given in iterations, the spec does not say it.
        "epochs": None if spec.get("iterations") else spec.get("epochs"),
        "selected_epochs": [run.metrics[protocol][strict]["epoch"] for run in runs],
        "below_min_se": [run.spec["seed"] for run in runs if is_below_min_se(run, protocol)],
        "cycles": runs[0].metrics[protocol][strict]["n"],
        "judged_set": runs[0].judged_set,
        "inputs": _declared_inputs(runs),
        "key": submitter_key(runs[0].extra),
        "marks": [],
        "partial": runs[0].partial,
        "profile": runs[0].profile,
        "spec": {name: value for name, value in spec.items() if name != "seed"},
    }


def _declared_inputs(runs: Sequence[BoardRun]) -> Row:
    """The declared inputs of the runs of a system; what they do not agree on is undeclared."""
    found = [inputs_of(run.kind, run.spec, run.extra) for run in runs]
    return {name: value if all(one[name] == value for one in found) else UNDECLARED for name, value in found[0].items()}


def _chosen_values(runs: Sequence[BoardRun]) -> Row:
    """``chosen``: what the runs chose by themselves, each value once, by the setting's dotted name; if they did."""
    found: dict[str, list[Any]] = {}
    for run in runs:
        for name, value in run.extra.get("chosen", {}).items():
            values = found.setdefault(name, [])
            values += [value] if value not in values else []
    return {"chosen": found} if found else {}


def _mean_rates(runs: Sequence[BoardRun], rule: str, judged: str) -> Row:
    found: Row = {}
    for name in rate_names(runs[0].judged_task.task.score):
        spread = mean_and_deviation([run.metrics[rule][judged][name] for run in runs])
        found[name], found[f"{name}_std"] = spread.mean, spread.std
    return found


def name_differences(rows: Sequence[Row]) -> None:
    """Fill in ``differs``: the fields of their specs that tell apart rows of one name, model and method.

    That is the pretraining, where it is not the same in all of them, and what else differs in rows that share it.
    """
    groups: dict[tuple[str | None, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["name"], row["model"], row["method"], row["pretrain"]), []).append(row)
    for group in groups.values():
        unlike = _differing_fields([row["spec"] for row in group])
        specs = [flattened({name: row["spec"][name] for name in unlike if name in row["spec"]}) for row in group]
        telling = _differing_fields(specs)
        for row, spec in zip(group, specs, strict=True):
            row["differs"] = {name: spec.get(name) for name in telling}
    _name_pretraining(rows)


def _name_pretraining(rows: Sequence[Row]) -> None:
    """Name the pretraining among what differs, in rows of one name, model and method that do not share it."""
    starts: dict[tuple[str | None, ...], set[str]] = {}
    for row in rows:
        starts.setdefault((row["name"], row["model"], row["method"]), set()).add(row["pretrain"])
    for row in rows:
        if len(starts[row["name"], row["model"], row["method"]]) > 1:
            row["differs"] = {"pretrain": row["pretrain"], **row["differs"]}


def _differing_fields(specs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the fields that are not the same in all of the specs."""
    names = sorted({name for spec in specs for name in spec})
    return [name for name in names if len({repr(spec.get(name)) for spec in specs}) > 1]


def flattened(spec: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten a spec: the options inside it stand under dotted names (``method_options.alpha``)."""
    found: dict[str, Any] = {}
    for name, value in spec.items():
        if isinstance(value, Mapping):
            found.update(flattened(value, f"{prefix}{name}."))
        else:
            found[prefix + name] = value
    return found


def failed_rows(runs: Iterable[BoardRun]) -> list[Row]:
    """Make one row for each failed run that is neither a trial of a search nor a part of a composite."""
    return [_failed_row(run) for run in ranked_kinds(runs) if run.status == "failed"]


def _failed_row(run: BoardRun) -> Row:
    return {
        "rank": None,
        **{name: run.spec[name] for name in ("model", "method", "pretrain")},
        "seeds": [run.spec["seed"]],
        "run_ids": [run.run_id],
        "created": run.created,
        "error": run.error,
    }


def _run_row(run: BoardRun) -> Row:
    judged = run.judged_task
    last = run.metrics.get("last", {}).get(judged.task.strict, {})
    named: Row = {}
    if not is_first_task(judged.task):
        named = {"task": judged.task.id, "classes": list(judged.task.classes), "simulated": judged.simulated}
    return {
        "run_id": run.run_id,
        "kind": run.kind,
        "name": run.spec.get("system"),
        **{name: run.spec[name] for name in ("model", "method", "pretrain", "dataset", "seed")},
        **named,
        "status": run.status,
        "study": run.extra.get("study", {}).get("name"),
        "partial": run.partial,
        "profile": run.profile,
        "created": run.created,
        "seconds": run.seconds,
        "cycles_per_second": run.cycles_per_second,
        **{name: last.get(name) for name in rate_names(judged.task.score)},
        "rules": [rule for rule in RULES if rule in run.metrics],
        "error": run.error,
    }
