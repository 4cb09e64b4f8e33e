"""One run as a report: how it ended, numbers and confusion matrices, epochs, spec, provenance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.core.text import plain
from leaderboard.metrics import CLASSES, SENSITIVITIES
from leaderboard.render.cells import Column, Report, Table, text_table
from leaderboard.render.numbers import number
from leaderboard.render.system_names import data_words
from leaderboard.results.schema import EpochRow, Part, ResultDocument, kind_of
from leaderboard.tables.board_tables import flattened
from leaderboard.tables.titles import system_title


def run_report(document: ResultDocument) -> Report:
    """The result document of a run as a report."""
    spec, run_id, kind = document["spec"], document["run_id"], kind_of(document)
    title = f"{spec.get('system') or system_title({**spec, 'kind': kind})}, seed {spec['seed']}"
    return Report("run", list(_tables(document)), heading=f"{kind} {run_id}: {title}")


def _tables(document: ResultDocument) -> Iterator[Table]:
    yield _pairs("", _facts(document))
    if any(document["metrics"].values()):
        yield _metrics(document)
        yield _confusions(document)
    if document["epochs"]:
        yield _epochs(document)
    if kind_of(document) == "submission":
        yield _pairs("submission", flattened(document["submission"]))
    if "parts" in document:
        parts = enumerate(document["parts"], start=1)
        yield _pairs("parts", {_part_name(number, part): _part_words(part) for number, part in parts})
    yield _pairs("spec", flattened(document["spec"]))
    yield _pairs("provenance", flattened(document["provenance"]))


def _facts(document: ResultDocument) -> Mapping[str, Any]:
    speed, seconds = document["cycles_per_second"], document["seconds"]
    facts = {
        "status": document["status"],
        "error": document["error"],
        "data": data_words(document["spec"]["dataset"], document["partial"]),
        "profile": document["profile"],
        "part of": document.get("part_of"),
        "created": document["created"],
        "duration": None if seconds is None else f"{seconds:.1f} s" + (f", {speed:.1f} cycles/s" if speed else ""),
    }
    return {name: value for name, value in facts.items() if value is not None}


def _part_name(number: int, part: Part) -> str:
    """The name of a part; its number among the parts of an ensemble, which have the ids of their runs for names."""
    return f"run {number}" if part["name"] == part["run_id"] else part["name"]


def _part_words(part: Part) -> str:
    """The run of a part, and the recording devices that it serves, where that is said."""
    served = "devices without a part" if part.get("default") else part.get("device")
    return part["run_id"] + (f", for {served}" if served else "")


def _pairs(title: str, values: Mapping[str, Any]) -> Table:
    rows = [[plain(name), plain(_listed(value))] for name, value in values.items()]
    return text_table(title, [_words("name"), Column("value", number=False, wrap=True)], rows, heads=False)


def _listed(value: Any) -> Any:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "–"
    return "–" if value is None else value


def _words(head: str) -> Column:
    return Column(head, number=False)


def _metrics(document: ResultDocument) -> Table:
    columns = [_words("rule"), _words("judged"), *map(Column, ("epoch", "Sp", "Se", "Score", "cycles"))]
    rows = []
    for rule, by_judged in document["metrics"].items():
        if by_judged is None:
            rows.append([rule, *"––––––"])
            continue
        for judged in SENSITIVITIES:
            m = by_judged[judged]
            rates = [number(m["sp"]), number(m["se"]), number(m["score"])]
            rows.append([rule, judged, str(m["epoch"] or "–"), *rates, str(m["n"])])
    return text_table("metrics, percent", columns, rows)


def _confusions(document: ResultDocument) -> Table:
    columns = [_words("rule"), _words("true"), *(Column(f"as {name}") for name in CLASSES)]
    rows = []
    for rule, by_judged in document["metrics"].items():
        if by_judged is None:
            continue
        for name, counts in zip(CLASSES, by_judged["4class"]["confusion"], strict=True):
            rows.append([rule if name == CLASSES[0] else "", name, *map(str, counts)])
    return text_table("confusion matrices, cycles", columns, rows)


def _epochs(document: ResultDocument) -> Table:
    heads = ("epoch", "loss", "lr", "test Score", "Sp", "Se", "val Score", "s")
    return text_table("epochs", list(map(Column, heads)), map(_epoch_texts, document["epochs"]))


def _epoch_texts(row: EpochRow) -> list[str]:
    test, val = (row["test"] or {}).get("4class"), (row["val"] or {}).get("4class")
    loss = "–" if row["loss"] is None else f"{row['loss']:.4f}"
    rates = [test["score"], test["sp"], test["se"]] if test else [None] * 3
    shown = [number(value) for value in [*rates, val["score"] if val else None]]
    return [str(row["epoch"]), loss, f"{row['lr']:.3g}", *shown, f"{row['seconds']:.1f}"]
