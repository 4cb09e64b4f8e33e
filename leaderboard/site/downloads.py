"""The data behind the page's figures as files: CSV in full precision, and each run as a spec that replays it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bench.core.datasets import TaskCard
from leaderboard.metrics import rate_names
from leaderboard.render.csv import csv_text
from leaderboard.render.json_text import json_text
from leaderboard.site.data import SiteData
from leaderboard.site.details import MOST_COUNTED
from leaderboard.site.systems import HITS, Lens, Row, System, sensitivity_of
from leaderboard.statistics.operating_points import TARGETS
from leaderboard.statistics.patient_hits import count_hits
from leaderboard.tables.titles import system_title

FOLDER = "data"

TABLES: Mapping[str, str] = {
    "board.csv": "every row under every rule, part and sensitivity, with places, ranks and intervals",
    "seeds.csv": "Sp, Se and Score of every seed",
    "confusion.csv": "confusion matrices, cycles summed over seeds",
    "classes.csv": "recall of each class",
    "devices.csv": "Sp, Se and Score by recording device",
    "patients.csv": "correct cycles of each patient, summed over seeds, of systems that the page compares",
    "thresholds.csv": "Sp and Se of each run at thresholds chosen on other patients",
    "reliability.csv": "accuracy by confidence",
    "missed.csv": "the cycles that most systems miss",
    "curves.csv": "loss, learning rate and metrics of every epoch",
}
"""Files beside the page, and what each holds."""


def data_files(board: SiteData) -> Iterator[tuple[str, str]]:
    """Give the paths of all data files below the site's folder with their text, one after another."""
    rows: Mapping[str, Callable[[SiteData], Iterator[Row]]] = {
        "board.csv": _board_rows,
        "seeds.csv": _seed_rows,
        "confusion.csv": _confusion_rows,
        "classes.csv": _class_rows,
        "devices.csv": _device_rows,
        "patients.csv": _patient_rows,
        "thresholds.csv": _threshold_rows,
        "reliability.csv": _reliability_rows,
        "missed.csv": _missed_rows,
        "curves.csv": _curve_rows,
    }
    for name in TABLES:
        found = list(rows[name](board))
        names = list(dict.fromkeys(column for row in found for column in row)) or ["system"]
        yield f"{FOLDER}/{name}", csv_text(names, found)
    for run_id, run in board.runs.items():
        if run.kind == "run":
            yield run_file(run_id), _run_text(board, run_id)


def run_file(run_id: str) -> str:
    """Give the path of a run's spec file below the site's folder."""
    return f"{FOLDER}/runs/{run_id}.json"


def command(run_id: str) -> str:
    """Give the command line that replays a run, to be given in the site's folder."""
    return f"bench run --spec {run_file(run_id)}"


def _run_text(board: SiteData, run_id: str) -> str:
    """A run's spec in the form of ``spec.json``, and where its result came from."""
    run, record = board.runs[run_id], board.records[run_id]
    document = {
        "run_id": run_id,
        "created": run.created,
        "identity": run.spec,
        "execution": record.execution,
        "provenance": record.provenance,
    }
    return json_text(document) + "\n"


def _systems_by_lens(board: SiteData) -> Iterator[tuple[System, Lens, Row, Row]]:
    """Each system under each lens that it has: system, lens, its numbers, and the first columns of its rows."""
    who = {system.id: _identity_columns(system) for system in board.systems}
    for lens in board.lenses:
        for system in board.systems:
            values = system.lenses.get(lens)
            judged = sensitivity_of(system.task, lens.judged)
            # In a task of two classes both kinds of hit are one, which is told once.
            told = lens.judged == HITS[0] or judged != system.task.strict
            if values is not None and told:
                yield system, lens, values, {**who[system.id], **lens._asdict(), "judged": judged}


def _identity_columns(system: System) -> Row:
    name = system.row["name"] or system_title(system.row)
    return {"system": system.id, "name": name, "section": system.section}


def _board_rows(board: SiteData) -> Iterator[Row]:
    for system, lens, values, first in _systems_by_lens(board):
        facts = system.rules[lens.rule]
        rates = rate_names(system.task.score)
        numbers = {name: values[name] for rate in rates for name in (rate, f"{rate}_std")}
        lo, hi = values["ci95"] or (None, None)
        yield {
            **first,
            **{name: system.row[name] for name in ("model", "method", "pretrain", "kind", "partial")},
            "ranked": board.sections[system.section],
            **{name: values[name] for name in ("rank", "ranks", "place")},
            **numbers,
            "score_ci95_lo": lo,
            "score_ci95_hi": hi,
            "cycles": values["cycles"],
            "patients": values["patients"],
            "optimism": facts["optimism"],
            **{name: facts[name] for name in ("seeds", "run_ids", "selected_epochs", "below_min_se")},
            "date": facts["date"],
            "differs": system.row["differs"],
        }


def _seed_rows(board: SiteData) -> Iterator[Row]:
    for system, lens, values, first in _systems_by_lens(board):
        facts = system.rules[lens.rule]
        for seed, run_id, rates in zip(facts["seeds"], facts["run_ids"], values["by_seed"], strict=True):
            yield {**first, "seed": seed, "run_id": run_id, **rates}


def _confusion_rows(board: SiteData) -> Iterator[Row]:
    for system, lens, values, first in _systems_by_lens(board):
        if lens.judged == HITS[0] and values["confusion"] is not None:
            classes = system.task.classes
            for true, counts in zip(classes, values["confusion"], strict=True):
                for predicted, cycles in zip(classes, counts, strict=True):
                    yield {**_without_judged(first), "true": true, "predicted": predicted, "cycles": cycles}


def _class_rows(board: SiteData) -> Iterator[Row]:
    for _, lens, values, first in _systems_by_lens(board):
        if lens.judged == HITS[0]:
            for name, view in values["classes"].items():
                yield {**_without_judged(first), "class": name, **view}


def _device_rows(board: SiteData) -> Iterator[Row]:
    for _, _, values, first in _systems_by_lens(board):
        for name, view in values["devices"].items():
            yield {**first, "device": name, **view}


def _systems_by_rule(board: SiteData) -> Iterator[tuple[System, str, Row]]:
    """Each system under each rule that it has numbers under, and the first columns of its rows."""
    for system in board.systems:
        for rule in system.rules:
            yield system, rule, {**_identity_columns(system), "rule": rule}


def _patient_rows(board: SiteData) -> Iterator[Row]:
    shown = {system.id for system in board.systems[:MOST_COUNTED]}
    for system, rule, first in _systems_by_rule(board):
        if system.id in shown and rule in system.counts:
            counts = system.counts[rule]
            cycles, task = counts.by_patient[0].sum(axis=-1), counts.task
            hits = {judged: count_hits(counts.by_patient.sum(axis=0), judged, task) for judged in task.sensitivities}
            normal = hits[task.strict][0]
            for place, patient in enumerate(counts.patients):
                yield {
                    **first,
                    "patient": patient,
                    "trained_on_too": patient in (system.shared or ()),
                    "seeds": len(counts.by_patient),
                    "normal": int(cycles[place, 0]),
                    "abnormal": int(cycles[place, list(task.abnormal)].sum()),
                    "correct_normal": int(normal[place]),
                    **{f"correct_abnormal_{judged}": int(right[place]) for judged, (_, right) in hits.items()},
                }


def _threshold_rows(board: SiteData) -> Iterator[Row]:
    for system, rule, first in _systems_by_rule(board):
        runs = system.rules[rule]["run_ids"]
        points = system.predictions[rule].points if rule in system.predictions else None
        for run_id, found in zip(runs, points or (), strict=False):
            of_run = {**first, "run_id": run_id}
            names = [f"se_{judged}" for judged in system.task.sensitivities]
            for target, (sp, *se_of_either) in zip(TARGETS, found.curve, strict=True):
                rates: Row = dict(zip(names, se_of_either, strict=False))  # of two classes both are one
                yield {**of_run, "chosen_for": f"Sp {target:.0%}", "sp": sp, **rates}
            for judged, (sp, se) in found.tuned.items():
                rates = {**dict.fromkeys(names), f"se_{judged}": se}
                yield {**of_run, "chosen_for": f"{judged} Score", "sp": sp, **rates}


def _reliability_rows(board: SiteData) -> Iterator[Row]:
    for system, rule, first in _systems_by_rule(board):
        found = system.predictions[rule].reliability if rule in system.predictions else None
        for answers, confidence, accuracy in found.bins if found else ():
            bin_ = {"answers": answers, "confidence": confidence, "accuracy": accuracy}
            yield {**first, **bin_, "expected_calibration_error": found.error if found else None}


def _missed_rows(board: SiteData) -> Iterator[Row]:
    for rule, by_section in board.missed.items():
        for title, cycles in by_section.items():
            task = board.described[title].task
            of_task = [cycle for cycle in cycles if cycle.judged == HITS[0] or len(task.sensitivities) > 1]
            for cycle in of_task:
                yield {
                    "section": title,
                    "rule": rule,
                    "judged": sensitivity_of(task, cycle.judged),
                    "recording": cycle.key[0],
                    "cycle": cycle.key[1],
                    "patient": cycle.patient,
                    "class": task.classes[cycle.label],
                    "trained_on_too": cycle.shared,
                    "missed_by_percent": cycle.share,
                    "systems": cycle.systems,
                }


def _without_judged(first: Row) -> Row:
    return {name: value for name, value in first.items() if name != "judged"}


def _curve_rows(board: SiteData) -> Iterator[Row]:
    # Every row has the same columns: those of all losses that any method names.
    epochs = [epoch for record in board.records.values() for epoch in record.epochs]
    named = sorted({name for epoch in epochs for name in epoch.get("losses", {})})
    for run_id, record in board.records.items():
        seed, task = board.runs[run_id].spec["seed"], board.runs[run_id].judged_task.task
        for epoch in record.epochs:
            facts = {name: value for name, value in epoch.items() if name not in ("test", "val", "losses")}
            facts |= {f"loss_{name}": epoch.get("losses", {}).get(name) for name in named}
            rates = {**_rate_columns("test", epoch["test"], task), **_rate_columns("val", epoch["val"], task)}
            yield {"run_id": run_id, "seed": seed, **facts, **rates}


def _rate_columns(where: str, metrics: Mapping[str, Any] | None, task: TaskCard) -> Row:
    found, names = metrics or {}, rate_names(task.score)
    return {
        f"{where}_{judged}_{rate}": found.get(judged, {}).get(rate) for judged in task.sensitivities for rate in names
    }
