"""The table of the results of runs that ``bench run`` and ``bench ensemble`` print."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.cli.grid import print_grid
from bench.cli.output import print_json, print_text

if TYPE_CHECKING:
    from bench.api.tasks import JudgedTask

LEFT = ("seed", "run", "rule", "part")
NAMES = ("run", "rule", "part")

Column = tuple[str, str, str]
"""A heading, and where its number is: what a hit is, and the metric."""


def print_results(documents: Sequence[Mapping[str, Any]], output: str) -> None:
    """Print the results of runs as a table with a row for each rule and part, or as JSON: a document, or a list."""
    if output == "json":
        print_json(documents if len(documents) > 1 else documents[0])
        return
    shown = _Shown.of(documents[0])
    rows = [row for document in documents for row in shown.rows(document)]
    finished = [document for document in documents if document["status"] == "finished"]
    if len(finished) > 1:
        rows += shown.summary(finished)
    numbers = [heading for heading in shown.headings if heading not in LEFT]
    print_grid(shown.title, shown.headings, rows, numbers=numbers, names=NAMES)
    for line in shown.legend:
        print_text(line)


@dataclass(frozen=True)
class _Shown:
    """How results of one task are shown.

    Attributes:
        title: What the table is of.
        judged: What the results were judged on.
    """

    title: str
    judged: JudgedTask

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> _Shown:
        from bench.api.tasks import judged_words, task_of

        judged, spec = task_of(document), document["spec"]
        return cls(f"{spec['model']} · {spec['method']} · {judged_words(judged, document['partial'])}", judged)

    @property
    def columns(self) -> list[Column]:
        """The columns of numbers."""
        task = self.judged.task
        both = [("AS", task.strict, "as"), ("HS", task.strict, "hs")] if task.score == "challenge" else []
        binary = [("Score 2", name, "score") for name in task.sensitivities[1:]]
        rates = [("Sp", task.strict, "sp"), ("Se", task.strict, "se")]
        return [*rates, *both, ("Score", task.strict, "score"), *binary]

    @property
    def headings(self) -> list[str]:
        """The headings of all columns."""
        return ["seed", "run", "rule", *self._part_cell("part"), "epoch", *(heading for heading, *_ in self.columns)]

    @property
    def legend(self) -> list[str]:
        """What stands below the table."""
        task = self.judged.task
        law = ["AS: mean of Sp and Se, HS: their harmonic mean, Score: mean of AS and HS"] * (task.score == "challenge")
        hit = ["Score 2: any abnormal class is a hit"] * (len(task.sensitivities) > 1)
        seen = [f"* {part.title}: patients seen in training." for part in task.parts if part.patients_seen]
        return [f"{'; '.join(['Percent', *law, *hit])}. Board: bench report leaderboard", *seen]

    def _part_cell(self, words: str) -> list[str]:
        """A cell that says which part a row is of, where there are several."""
        return [words] if self.judged.task.other_parts else []

    def _parts(self, document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The metrics of each part by rule, with what the part is called."""
        found = {self.judged.task.main.id: document["metrics"], **document.get("other_parts", {})}
        for part in self.judged.task.parts:
            if part.id in found:
                yield part.id + "*" * part.patients_seen, found[part.id]

    def rows(self, document: Mapping[str, Any]) -> Iterator[list[str]]:
        """The rows of a result."""
        seed, run_id = str(document["spec"]["seed"]), document["run_id"]
        if document["status"] != "finished":
            yield [seed, run_id, "failed", *("" for _ in self.headings[3:])]
            return
        for part, metrics_by_rule in self._parts(document):
            for rule, metrics in metrics_by_rule.items():
                if metrics is not None:
                    epoch = str(document["metrics"][rule][self.judged.task.strict]["epoch"] or "–")
                    numbers = (f"{metrics[hit][name]:.2f}" for _, hit, name in self.columns)
                    yield [seed, run_id, rule, *self._part_cell(part), epoch, *numbers]

    def summary(self, documents: Sequence[Mapping[str, Any]]) -> Iterator[list[str]]:
        """Means and deviations over seeds, a row for each rule and part that several results have."""
        by_part: dict[str, list[Mapping[str, Any]]] = {}
        for document in documents:
            for part, metrics_by_rule in self._parts(document):
                by_part.setdefault(part, []).append(metrics_by_rule)
        for part, results in by_part.items():
            for rule in results[0]:
                found = [result[rule] for result in results if result[rule] is not None]
                if len(found) > 1:
                    cells = (_mean([metrics[hit][name] for metrics in found]) for _, hit, name in self.columns)
                    yield ["all", f"{len(found)} seeds", rule, *self._part_cell(part), "", *cells]


def _mean(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}"
