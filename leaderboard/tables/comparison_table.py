"""The table of two systems side by side: their rates with the difference, then devices and classes."""

from __future__ import annotations

from leaderboard.statistics.comparison import SIDES, Comparison
from leaderboard.statistics.patient_hits import RATES
from leaderboard.tables.board_tables import Row, Section, Table


def comparison_table(found: Comparison) -> Table:
    """Put a comparison into a table: the systems, their rates with the difference, devices and classes."""
    sections = [
        Section(found.data, "compared", [{"side": side.upper(), **found.systems[side]} for side in SIDES]),
        Section("percent", "comparison", _rate_rows(found)),
        Section("Score by device", "comparison", _part_rows(found, "devices", "score")),
        Section("recall by class", "comparison", _part_rows(found, "classes", "recall")),
    ]
    return Table("comparison", found.protocol, sections, [found.covers, *found.notes, found.sentence])


def _rate_rows(found: Comparison) -> list[Row]:
    strict, *either = found.task.sensitivities
    shown = [("official", strict, name) for name in RATES]
    shown += [("official", judged, name) for judged in either for name in ("se", "score")]
    shown += [("patient-disjoint", strict, "score")]
    rows = []
    for view, judged, name in shown:
        difference = found.differences[view]
        if difference is not None:
            cells = {side: found.systems[side]["views"][view][judged][name] for side in SIDES}
            what = [{"sp": "Sp", "se": "Se", "score": "Score"}[name]] + ["2-class"] * (judged != strict)
            what += [view] * (view != "official")
            rows.append({"what": ", ".join(what), **cells, "difference": difference[judged][name]})
    return rows


def _part_rows(found: Comparison, part: str, name: str) -> list[Row]:
    rows = []
    for word, of_a in found.systems["a"][part].items():
        of_b = found.systems["b"][part][word]
        size = [f"{of_a[unit]} {unit}" for unit in ("cycles", "patients") if unit in of_a]
        cells = {
            side: {"value": values[name], "std": values[f"{name}_std"], "ci95": None}
            for side, values in zip(SIDES, (of_a, of_b), strict=True)
        }
        known = of_a[name] is not None and of_b[name] is not None
        difference = {"value": of_a[name] - of_b[name] if known else None, "ci95": None}
        rows.append({"what": f"{word} ({', '.join(size)})", **cells, "difference": difference})
    return rows
