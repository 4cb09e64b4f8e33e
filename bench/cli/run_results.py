"""The table of the results of runs that ``bench run`` and ``bench ensemble`` print."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bench.cli.output import print_json, stdout


def print_results(documents: Sequence[Mapping[str, Any]], output: str) -> None:
    """Print the results of runs as a table with a row for each rule, or as JSON: one document, or a list of them."""
    if output == "json":
        print_json(documents if len(documents) > 1 else documents[0])
        return
    from rich import box
    from rich.table import Table

    table = Table(
        title=_title(documents[0]), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True
    )
    for heading in ("seed", "run", "rule", "epoch", "Sp", "Se", "Score", "Score 2"):
        table.add_column(heading, justify="left" if heading in ("run", "rule") else "right", no_wrap=True)
    for document in documents:
        _add_rows(table, document)
    _add_summary(table, documents)
    console = stdout()
    console.print(table)
    console.print("Percent; Score 2: any abnormal class is a hit. Board: bench report leaderboard")


def _title(document: Mapping[str, Any]) -> str:
    spec = document["spec"]
    mark = "simulated data" if spec["dataset"] == "demo" else document["partial"] or "ICBHI 2017, official split"
    return f"{spec['model']} · {spec['method']} · {mark}"


def _add_rows(table: Any, document: Mapping[str, Any]) -> None:
    seed, run_id = str(document["spec"]["seed"]), document["run_id"]
    if document["status"] != "finished":
        table.add_row(seed, run_id, "failed")
        return
    for rule, metrics in document["metrics"].items():
        if metrics is None:
            continue
        strict, binary = metrics["4class"], metrics["2class"]
        numbers = (strict["sp"], strict["se"], strict["score"], binary["score"])
        table.add_row(seed, run_id, rule, str(strict["epoch"] or "–"), *(f"{number:.2f}" for number in numbers))


def _add_summary(table: Any, documents: Sequence[Mapping[str, Any]]) -> None:
    finished = [document for document in documents if document["status"] == "finished"]
    if len(finished) < 2:
        return
    table.add_section()
    for rule in finished[0]["metrics"]:
        metrics = [document["metrics"][rule] for document in finished if document["metrics"][rule] is not None]
        if len(metrics) < 2:
            continue
        columns = (("4class", "sp"), ("4class", "se"), ("4class", "score"), ("2class", "score"))
        values = [[item[judged][name] for item in metrics] for judged, name in columns]
        cells = [f"{statistics.mean(column):.2f} ± {statistics.stdev(column):.2f}" for column in values]
        table.add_row(f"{len(metrics)} seeds", "", rule, "", *cells)
