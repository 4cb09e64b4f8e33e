"""The board as the page's script reads it: one JSON document, numbers as they are printed, columns instead of rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.core.datasets import FOUR_CLASSES, TaskCard
from bench.core.text import plain
from leaderboard.metrics import rate_names
from leaderboard.render.bibtex import run_entry, submission_entry
from leaderboard.render.numbers import seeds
from leaderboard.render.system_names import system_lines
from leaderboard.results.schema import COMBINED, RULES, Rule
from leaderboard.site.data import RATES, TEST_PARTS, SiteData, reference
from leaderboard.site.details import detail_values
from leaderboard.site.downloads import command, run_file
from leaderboard.site.systems import HITS, Lens, Row, System, sensitivity_of
from leaderboard.statistics.tested_parts import tested_part
from leaderboard.store.board_rows import BoardRun
from leaderboard.tables.board_tables import Section, flattened
from leaderboard.tables.sections import PATIENTS_SEEN, SIMULATED, data_title

COLUMNS = ("rank", "ranks", "cycles", "patients")
DeviceName = tuple[str, int, int]
"""A recording device, its cycles and its patients."""

NUMBERS = ("sp", "sp_std", "se", "se_std", "score", "score_std")
MEANS = ("as", "as_std", "hs", "hs_std")


def page_values(board: SiteData, start: Rule = "last", version: str = "") -> dict[str, Any]:
    """Make the document that the page's script reads; it names systems and runs by their places in lists.

    Args:
        board: The values that the page shows.
        start: The selection rule that is shown first.
        version: Version of the program, for citations.
    """
    facts, devices = _SharedFacts(), _device_places(board)
    places = {run_id: place for place, run_id in enumerate(board.runs)}
    return {
        "start": start,
        "rules": list(RULES),
        "parts": list(TEST_PARTS),
        "judged": list(HITS),
        "classes": list(FOUR_CLASSES.classes),
        "sections": [_section_values(section) for section in board.described.values()],
        "systems": _all_system_values(board, facts, version),
        "devices": list(devices),
        "byRule": {rule: [_rule_values(system, rule, places) for system in board.systems] for rule in RULES},
        "lenses": {str(lens): _lens_columns(board, lens, devices) for lens in board.lenses},
        "floors": {str(lens): _floors(board, lens) for lens in board.lenses},
        "cells": {
            f"{rule}/{part}": _confusion_columns(board, Lens(rule, part, HITS[0]))
            for rule in RULES
            for part in TEST_PARTS
        },
        "runs": [_run_values(board, run, facts) for run in board.runs.values()],
        "facts": facts.known,
        "reference": {name: reference(FOUR_CLASSES)[name] for name in ("name", *RATES)},
        "notes": {rule: list(map(plain, notes)) for rule, notes in board.notes.items()},
        **detail_values(board),
    }


def _section_values(section: Section) -> Row:
    """A section: its title, and what is judged in it where that is not the four classes of the first data set."""
    judged, task = section.judged, section.task
    found: Row = {
        "title": plain(section.title),
        "ranked": section.ranked,
        "simulated": judged is not None and judged.simulated,
    }
    if judged is None or not section.names:
        return found
    return {
        **found,
        **{name: plain(value) if isinstance(value, str) else value for name, value in section.names.items()},
        "data": plain(data_title(judged)),
        "unit": plain(task.unit),
        "classes": list(map(plain, task.classes)),
        "judged": list(task.sensitivities),
        "law": task.score,
        "main": plain(task.main.title) if section.part and section.part != task.main else None,
        "reference": {name: reference(task)[name] for name in ("name", *rate_names(task.score))},
    }


def inline_json(values: Any) -> str:
    """Write values as JSON that may stand inside a script element: in ASCII, and nothing in it can end the element."""
    text = json.dumps(values, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


class _SharedFacts:
    """Names with values, each kept once: runs of one board have most of them in common."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], int] = {}

    @property
    def known(self) -> list[tuple[str, str]]:
        return list(self._places)

    def places(self, values: Mapping[str, Any]) -> list[int]:
        pairs = [(plain(name), _text(value)) for name, value in flattened(values).items()]
        return [self._places.setdefault(pair, len(self._places)) for pair in pairs]


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, list):
        return plain(", ".join(map(str, value)) or "–")
    return plain(value)


def _rounded_as_printed(value: float | None, digits: int = 2) -> float | None:
    """A number as every report prints it, so that the page shows the same one; rounding it twice would not."""
    return None if value is None else float(f"{value:.{digits}f}")


def _all_system_values(board: SiteData, facts: _SharedFacts, version: str) -> list[Row]:
    labels = system_labels(board.systems)
    return [
        {**_system_values(board, system, facts), "label": label, "bibtex": _bibtex(board, system, version)}
        for system, label in zip(board.systems, labels, strict=True)
    ]


def _system_values(board: SiteData, system: System, facts: _SharedFacts) -> Row:
    row = system.row
    title, *detail = map(plain, system_lines(row))
    marks = [*([SIMULATED] if system.seen.judged_task.simulated else []), *([row["partial"]] if row["partial"] else [])]
    if tested_part(system.seen).patients_seen:
        marks.append(PATIENTS_SEEN)
    if row["study"] and row["study"]["objective"] == "test":
        marks.append("tuned on the test set")
    return {
        "id": system.id,
        "section": list(board.sections).index(system.section),
        "title": title,
        "detail": "; ".join(detail),
        "marks": [[plain(mark), ""] for mark in marks],
        "kind": row["kind"],
        **{name: plain(row[name]) for name in ("model", "method", "pretrain")},
        "inputs": _inputs_line(row.get("inputs")),
        "spec": facts.places(row["spec"]),
    }


SCRATCH = "from scratch"
UNDECLARED = "undeclared"


def _inputs_line(declared: Any) -> str:
    """Declared inputs in one line: those that are used, and those that were left open; empty where there are none."""
    if not isinstance(declared, Mapping):
        return _text(declared) if declared else ""
    words = {name: plain(name).replace("_", " ") for name in declared}
    used = [
        words[name] if value is True else f"{words[name]}: {_text(value)}"
        for name, value in declared.items()
        if value not in (None, False, "none", 1, UNDECLARED) or value is True
    ]
    left = [words[name] for name, value in declared.items() if value == UNDECLARED]
    return "; ".join([*used, *([f"{UNDECLARED}: {', '.join(left)}"] if left else [])])


def _mark_texts(mark: Row) -> list[str]:
    """A mark's word and its sentence, with what the keepers of the board said of it."""
    review = mark.get("review")
    said = f" Review: {review['verdict']}, {review['reason']}." if review else ""
    return [plain(mark.get("mark") or mark["word"]), plain(mark["sentence"]) + plain(said)]


def system_labels(systems: Sequence[System]) -> list[str]:
    """Name each system in figures: by its title, and by what tells it from others of that title in its section."""
    names = [(system.section, *map(plain, _telling_lines(system.row))) for system in systems]
    alike = Counter(name[:2] for name in names)
    having = Counter((section, title, line) for section, title, *detail in names for line in set(detail))
    labels = [
        ", ".join([title, *(line for line in detail if having[section, title, line] < alike[section, title])])
        for section, title, *detail in names
    ]
    return _unique_labels(systems, labels)


def _telling_lines(row: Row) -> list[str]:
    """The lines of a row; that it started from nothing is said too, which tells it apart from others of its title."""
    title, *lines = system_lines(row)
    says_start = not row["name"] and row["kind"] not in COMBINED
    from_nothing = says_start and row["pretrain"] == "none" and SCRATCH not in lines
    return [title, *([SCRATCH] if from_nothing else []), *lines]


def _unique_labels(systems: Sequence[System], labels: Sequence[str]) -> list[str]:
    """Labels with the beginning of the id where two of a section are the same."""
    count = Counter((system.section, label) for system, label in zip(systems, labels, strict=True))
    return [
        f"{label}, {system.id[:6]}" if count[system.section, label] > 1 else label
        for system, label in zip(systems, labels, strict=True)
    ]


def _bibtex(board: SiteData, system: System, version: str) -> str:
    run_ids = next(iter(system.rules.values()))["run_ids"]
    run, title = board.runs[run_ids[0]], ", ".join(system_lines(system.row))
    if run.kind == "submission":
        return submission_entry(str(system.row["name"]), run.run_id, run.extra.get("submission", {}), run.created)
    return run_entry(title, run_ids, max(board.runs[run_id].created for run_id in run_ids), version)


def _rule_values(system: System, rule: str, places: Mapping[str, int]) -> Row | None:
    found = system.rules.get(rule)
    if found is None:
        return None
    return {
        "seeds": seeds(found["seeds"]),
        "runs": [places[run_id] for run_id in found["run_ids"]],
        "epochs": found["selected_epochs"],
        "optimism": _rounded_as_printed(found["optimism"]),
        "below": seeds(found["below_min_se"]),
        "date": found["date"],
        **({"state": plain(found["state"])} if found["state"] else {}),
        **({"marks": list(map(_mark_texts, found["marks"]))} if found["marks"] else {}),
    }


def _lens_columns(board: SiteData, lens: Lens, devices: Mapping[DeviceName, int]) -> Row:
    """Columns over the systems; None where a system has no numbers under the lens."""
    rows = [system.lenses.get(lens) for system in board.systems]
    columns: Row = {name: [row[name] if row else None for row in rows] for name in COLUMNS}
    columns["order"] = _score_order(rows)
    numbers = [*NUMBERS, *(MEANS if any(row and MEANS[0] in row for row in rows) else [])]
    columns |= {name: [_rounded_as_printed(row.get(name)) if row else None for row in rows] for name in numbers}
    for end, name in enumerate(("lo", "hi")):
        columns[name] = [_rounded_as_printed(row["ci95"][end], 1) if row and row["ci95"] else None for row in rows]
    columns["bySeed"] = [
        [[_rounded_as_printed(rates[rate]) for rate in RATES] for rates in row["by_seed"]] if row else None
        for row in rows
    ]
    columns["devices"] = [_devices(row["devices"], devices) if row else None for row in rows]
    return columns


def _floors(board: SiteData, lens: Lens) -> list[float | None]:
    """By section, the smallest difference of Score that its test part can show at five seeds."""
    found = {system.section: system.lenses[lens].get("floor") for system in board.systems if lens in system.lenses}
    return [_rounded_as_printed(found.get(title), 1) for title in board.sections]


def _score_order(rows: Sequence[Row | None]) -> list[int | None]:
    """Where each row stands by Score in full precision, whatever its section; None for one without."""
    known = sorted((n for n, row in enumerate(rows) if row), key=lambda n: -rows[n]["score"])  # type: ignore[index]
    order: list[int | None] = [None] * len(rows)
    for place, n in enumerate(known):
        order[n] = place
    return order


def _device_places(board: SiteData) -> dict[DeviceName, int]:
    """Recording devices with their cycles and patients, and the place of each."""
    lenses = (row for system in board.systems for row in system.lenses.values())
    names = dict.fromkeys(_device(name, view) for row in lenses for name, view in row["devices"].items())
    return {name: place for place, name in enumerate(names)}


def _device(name: str, view: Row) -> DeviceName:
    return plain(name), view["cycles"], view["patients"]


def _devices(views: Mapping[str, Row], places: Mapping[DeviceName, int]) -> list[list[Any]]:
    """For each recording device, its place in the page's list of devices, and the numbers as they are printed."""
    return [
        [places[_device(name, view)], *(_rounded_as_printed(view[number]) for number in NUMBERS)]
        for name, view in views.items()
    ]


def _confusion_columns(board: SiteData, lens: Lens) -> Row:
    """Confusion matrices and recalls of all systems, which do not depend on the sensitivity."""
    rows = [system.lenses.get(lens) for system in board.systems]
    return {
        "confusion": [row["confusion"] if row else None for row in rows],
        "classes": [_recalls(row["classes"].values()) if row else None for row in rows],
    }


def _recalls(views: Iterable[Row]) -> list[list[Any]]:
    return [
        [view["cycles"], _rounded_as_printed(view["recall"]), _rounded_as_printed(view["recall_std"])] for view in views
    ]


def _run_values(board: SiteData, run: BoardRun, facts: _SharedFacts) -> Row:
    record = board.records[run.run_id]
    of_run = {"created": run.created, "profile": run.profile, "seconds": run.seconds}
    replay = {"command": command(run.run_id), "file": run_file(run.run_id)} if run.kind == "run" else {}
    return {
        "id": run.run_id,
        "seed": run.spec["seed"],
        "facts": facts.places({**of_run, **record.provenance, **run.extra.get("submission", {})}),
        **replay,
        "curve": _curve(record.epochs, run.judged_task.task),
    }


def _curve(epochs: Sequence[Any], task: TaskCard) -> Row:
    """Columns over the epochs: numbers, losses to four digits, Scores on test and held-out patients by kind of hit.

    Losses that the method names beside the one it trains for are ``loss/ce`` and the like.
    Where the epochs are 1, 2, 3 and so on, only their number is given; Scores are in hundredths of a percent.
    """
    numbers = [row["epoch"] for row in epochs]
    counted = numbers == list(range(1, len(numbers) + 1))
    found: Row = {"epoch": len(numbers) if counted else numbers, "loss": [_four_digits(row["loss"]) for row in epochs]}
    for name in sorted({name for row in epochs for name in row.get("losses", {})}):
        found[f"loss/{name}"] = [_four_digits(row.get("losses", {}).get(name)) for row in epochs]
    for where in ("test", "val"):
        for hit in HITS:
            judged = sensitivity_of(task, hit)
            scores = [_hundredths(row[where][judged]["score"]) if row[where] else None for row in epochs]
            if any(score is not None for score in scores):
                found[f"{where}/{hit}"] = scores
    return found


def _hundredths(value: float | None) -> int | None:
    printed = _rounded_as_printed(value)
    return None if printed is None else round(100 * printed)


def _four_digits(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
