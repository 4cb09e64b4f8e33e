"""One run as a report: how it ended, numbers and confusion matrices, epochs, spec, provenance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.core.datasets import TaskCard
from bench.core.text import plain
from leaderboard.metrics import rate_names
from leaderboard.render.cells import Column, Report, Table, text_table
from leaderboard.render.numbers import number
from leaderboard.render.system_names import data_words
from leaderboard.results.schema import EpochRow, Part, ResultDocument, kind_of
from leaderboard.tables.board_tables import flattened
from leaderboard.tables.sections import PATIENTS_SEEN
from leaderboard.tables.titles import system_title
from leaderboard.tasks import is_first_task, judged_task

MetricsByRule = Mapping[str, Mapping[str, Any] | None]
"""Metrics by selection rule, then by sensitivity."""


def run_report(document: ResultDocument) -> Report:
    """The result document of a run as a report."""
    spec, run_id, kind = document["spec"], document["run_id"], kind_of(document)
    title = f"{spec.get('system') or system_title({**spec, 'kind': kind})}, seed {spec['seed']}"
    return Report("run", list(_tables(document)), heading=f"{kind} {run_id}: {title}")


def _tables(document: ResultDocument) -> Iterator[Table]:
    yield _pairs("", _facts(document))
    task = judged_task(document["spec"], document.get("task")).task
    if any(document["metrics"].values()):
        for words, metrics in _metrics_of_parts(document, task):
            yield _metrics(words, metrics, task)
            yield _confusions(words, metrics, task)
    if document["epochs"]:
        yield _epochs(document, task)
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
        "data": _data(document),
        "profile": document["profile"],
        "part of": document.get("part_of"),
        "chosen": chosen_words(document) or None,
        "created": document["created"],
        "duration": None if seconds is None else f"{seconds:.1f} s" + (f", {speed:.1f} cycles/s" if speed else ""),
    }
    return {name: value for name, value in facts.items() if value is not None}


def chosen_words(document: ResultDocument | Mapping[str, Any]) -> str:
    """What a run chose by itself for settings that leave it the choice: ``method_options.c 0.01``."""
    return ", ".join(f"{name} {value}" for name, value in document.get("chosen", {}).items())


def _data(document: ResultDocument) -> str:
    judged = judged_task(document["spec"], document.get("task"))
    task = None if is_first_task(judged.task) else judged.task.id
    return data_words(judged.dataset, document["partial"], task, is_simulated=judged.simulated)


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


def _metrics_of_parts(document: ResultDocument, task: TaskCard) -> Iterator[tuple[str, MetricsByRule]]:
    """The metrics of each tested part, and what stands behind the titles of its tables."""
    if not task.other_parts:
        yield "", document["metrics"]
        return
    others = document.get("other_parts", {})
    for part in task.parts:
        metrics = document["metrics"] if part.id == task.main.id else others.get(part.id)
        if metrics:
            yield f", {part.title}" + (f" ({PATIENTS_SEEN})" if part.patients_seen else ""), metrics


_HEADS = {"sp": "Sp", "se": "Se", "as": "AS", "hs": "HS", "score": "Score"}


def _metrics(words: str, metrics: MetricsByRule, task: TaskCard) -> Table:
    names = rate_names(task.score)
    columns = [_words("rule"), _words("judged"), *map(Column, ("epoch", *(_HEADS[name] for name in names), "cycles"))]
    rows = []
    for rule, by_judged in metrics.items():
        if by_judged is None:
            rows.append([rule, *"–" * (len(columns) - 1)])
            continue
        for judged in task.sensitivities:
            m: Mapping[str, Any] = by_judged[judged]
            rates = [number(m[name]) for name in names]
            rows.append([rule, judged, str(m["epoch"] or "–"), *rates, str(m["n"])])
    return text_table(f"metrics, percent{words}", columns, rows)


def _confusions(words: str, metrics: MetricsByRule, task: TaskCard) -> Table:
    columns = [_words("rule"), _words("true"), *(Column(f"as {name}") for name in task.classes)]
    rows = []
    for rule, by_judged in metrics.items():
        if by_judged is None:
            continue
        for name, counts in zip(task.classes, by_judged[task.strict]["confusion"], strict=True):
            rows.append([rule if name == task.normal else "", name, *map(str, counts)])
    return text_table(f"confusion matrices, cycles{words}", columns, rows)


def _epochs(document: ResultDocument, task: TaskCard) -> Table:
    heads = ("epoch", "loss", "lr", "test Score", "Sp", "Se", "val Score", "s")
    rows = (_epoch_texts(row, task.strict) for row in document["epochs"])
    return text_table("epochs", list(map(Column, heads)), rows)


def _epoch_texts(row: EpochRow, strict: str) -> list[str]:
    test, val = (row["test"] or {}).get(strict), (row["val"] or {}).get(strict)
    loss = "–" if row["loss"] is None else f"{row['loss']:.4f}"
    rates = [test["score"], test["sp"], test["se"]] if test else [None] * 3
    shown = [number(value) for value in [*rates, val["score"] if val else None]]
    return [str(row["epoch"]), loss, f"{row['lr']:.3g}", *shown, f"{row['seconds']:.1f}"]
