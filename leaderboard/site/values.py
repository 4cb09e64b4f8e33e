"""The board as the page's script reads it: one JSON document, numbers as they are printed, columns instead of rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from leaderboard.forms import seeds
from leaderboard.metrics import CLASSES, JUDGED
from leaderboard.render import system_lines
from leaderboard.results import RULES, Rule
from leaderboard.site.data import PARTS, RATES, REFERENCE, Board, Lens, Row, System
from leaderboard.site.downloads import command, run_file
from leaderboard.store import BoardRun
from leaderboard.tables import SIMULATED, flat
from leaderboard.text import plain

COLUMNS = ("rank", "ranks", "cycles", "patients")
NUMBERS = ("sp", "sp_std", "se", "se_std", "score", "score_std")


def page_values(board: Board, start: Rule = "last") -> dict[str, Any]:
    """The document. Systems and runs are named by their places in its lists.

    Args:
        board: What is shown.
        start: The selection rule that is shown first.
    """
    facts = _Facts()
    places = {run_id: place for place, run_id in enumerate(board.runs)}
    return {
        "start": start,
        "rules": list(RULES),
        "parts": list(PARTS),
        "judged": list(JUDGED),
        "classes": list(CLASSES),
        "sections": [
            {"title": plain(title), "ranked": ranked, "simulated": title == SIMULATED}
            for title, ranked in board.sections.items()
        ],
        "systems": [_system(board, system, facts) for system in board.systems],
        "byRule": {rule: [_under_rule(system, rule, places) for system in board.systems] for rule in RULES},
        "lenses": {str(lens): _lens(board, lens) for lens in board.lenses},
        "cells": {f"{rule}/{part}": _cells(board, Lens(rule, part, JUDGED[0])) for rule in RULES for part in PARTS},
        "runs": [_run(board, run, facts) for run in board.runs.values()],
        "facts": facts.known,
        "reference": {name: REFERENCE[name] for name in ("name", *RATES)},
        "notes": {rule: list(map(plain, notes)) for rule, notes in board.notes.items()},
    }


def inline_json(values: Any) -> str:
    """JSON that may stand inside a script element: ASCII alone, and nothing in it can end the element."""
    text = json.dumps(values, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


class _Facts:
    """Names with values, each kept once: runs of one board have most of them in common."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], int] = {}

    @property
    def known(self) -> list[tuple[str, str]]:
        return list(self._places)

    def places(self, values: Mapping[str, Any]) -> list[int]:
        pairs = [(plain(name), _text(value)) for name, value in flat(values).items()]
        return [self._places.setdefault(pair, len(self._places)) for pair in pairs]


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, list):
        return plain(", ".join(map(str, value)) or "–")
    return plain(value)


def _printed(value: float | None, digits: int = 2) -> float | None:
    """A number as every report prints it, so that the page shows the same one; rounding it twice would not."""
    return None if value is None else float(f"{value:.{digits}f}")


def _system(board: Board, system: System, facts: _Facts) -> Row:
    row = system.row
    title, *detail = map(plain, system_lines(row))
    marks = [SIMULATED] if system.section == SIMULATED else [row["partial"]] if row["partial"] else []
    if row["study"] and row["study"]["objective"] == "test":
        marks.append("tuned on the test set")
    told = [line for line in detail if not line.startswith("from ")]
    return {
        "id": system.id,
        "section": list(board.sections).index(system.section),
        "title": title,
        "detail": "; ".join(detail),
        "label": ", ".join([title, *told]),
        "marks": [plain(mark) for mark in marks],
        "kind": row["kind"],
        **{name: plain(row[name]) for name in ("model", "method", "pretrain")},
        "spec": facts.places(row["spec"]),
    }


def _under_rule(system: System, rule: str, places: Mapping[str, int]) -> Row | None:
    found = system.rules.get(rule)
    if found is None:
        return None
    return {
        "seeds": seeds(found["seeds"]),
        "runs": [places[run_id] for run_id in found["run_ids"]],
        "epochs": found["selected_epochs"],
        "optimism": _printed(found["optimism"]),
        "below": seeds(found["below_min_se"]),
    }


def _lens(board: Board, lens: Lens) -> Row:
    """Columns over the systems; None where a system has no numbers under the lens."""
    rows = [system.lenses.get(lens) for system in board.systems]
    columns: Row = {name: [row[name] if row else None for row in rows] for name in COLUMNS}
    columns["order"] = _order(rows)
    columns |= {name: [_printed(row[name]) if row else None for row in rows] for name in NUMBERS}
    for end, name in enumerate(("lo", "hi")):
        columns[name] = [_printed(row["ci95"][end], 1) if row and row["ci95"] else None for row in rows]
    columns["bySeed"] = [
        [[_printed(rates[rate]) for rate in RATES] for rates in row["by_seed"]] if row else None for row in rows
    ]
    columns["devices"] = [_devices(row["devices"]) if row else None for row in rows]
    return columns


def _order(rows: Sequence[Row | None]) -> list[int | None]:
    """Where each row stands by Score in full precision, whatever its section; None for one without."""
    known = sorted((n for n, row in enumerate(rows) if row), key=lambda n: -rows[n]["score"])  # type: ignore[index]
    order: list[int | None] = [None] * len(rows)
    for place, n in enumerate(known):
        order[n] = place
    return order


def _devices(views: Mapping[str, Row]) -> list[list[Any]]:
    return [
        [plain(name), view["cycles"], view["patients"], *(_printed(view[number]) for number in NUMBERS)]
        for name, view in views.items()
    ]


def _cells(board: Board, lens: Lens) -> Row:
    """What does not depend on the sensitivity: confusion matrices, with shares of the true class, and recalls."""
    rows = [system.lenses.get(lens) for system in board.systems]
    return {
        "confusion": [row["confusion"] if row else None for row in rows],
        "shares": [_shares(row["confusion"]) if row and row["confusion"] else None for row in rows],
        "classes": [_recalls(row["classes"].values()) if row else None for row in rows],
    }


def _shares(confusion: Sequence[Sequence[int]]) -> list[list[float | None]]:
    return [[_printed(100 * count / sum(row), 1) if sum(row) else None for count in row] for row in confusion]


def _recalls(views: Iterable[Row]) -> list[list[Any]]:
    return [[view["cycles"], _printed(view["recall"]), _printed(view["recall_std"])] for view in views]


def _run(board: Board, run: BoardRun, facts: _Facts) -> Row:
    record = board.records[run.run_id]
    of_run = {"created": run.created, "profile": run.profile, "seconds": run.seconds}
    replay = {"command": command(run.run_id), "file": run_file(run.run_id)} if run.kind == "run" else {}
    return {
        "id": run.run_id,
        "seed": run.spec["seed"],
        "facts": facts.places({**of_run, **record.provenance, **run.extra.get("submission", {})}),
        **replay,
        "curve": _curve(record.epochs),
    }


def _curve(epochs: Sequence[Any]) -> Row:
    """Columns over the epochs: number, loss to four digits, and Scores on test and held-out patients by sensitivity."""
    found: Row = {"epoch": [row["epoch"] for row in epochs], "loss": [_digits(row["loss"]) for row in epochs]}
    for where in ("test", "val"):
        for judged in JUDGED:
            scores = [_printed(row[where][judged]["score"]) if row[where] else None for row in epochs]
            if any(score is not None for score in scores):
                found[f"{where}/{judged}"] = scores
    return found


def _digits(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
