"""The numbers of a model card: rates with intervals, parts, confusion matrices, marks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.api.card_facts import CardFacts
from bench.api.card_markdown import facts, section, table
from bench.core.cards import SELECTIONS
from bench.core.datasets import extent_words
from bench.core.text import capital
from leaderboard.metrics import rate_names
from leaderboard.render.markdown import escaped
from leaderboard.statistics.breakdown import optimism
from leaderboard.tables.sections import is_official, section_title
from leaderboard.tables.single_result import PartScores
from leaderboard.tasks import OFFICIAL_SPLIT

HEADS = {"sp": "Sp", "se": "Se", "as": "AS", "hs": "HS", "score": "Score"}

VIEWS = {"official": "all patients", "patient-disjoint": "without patients of the training part"}

UNDER_TEST = "chosen on the test part, as the field's papers do: higher than what new patients would give"


def score_lines(run: CardFacts) -> Iterator[str]:
    """The sections about the run's numbers."""
    rates = rate_names(run.judged.task.score)
    heads = ["epoch chosen by", "tested part", "a hit is", "epoch", *(HEADS[name] for name in rates), "n"]
    yield from section(
        "Scores",
        ["Percent, with 95 % intervals in brackets where there are any."],
        table(heads, (row for one in run.scores for row in _rows(run, one, rates))),
        _notes(run),
    )
    yield from section("Parts of the test", *_parts(run))
    yield from section(
        "Confusion matrices",
        ["Rows are true classes, columns predicted ones."],
        *(_confusion(run, one) for one in run.scores),
    )


def data_state(run: CardFacts) -> str:
    """How far the test part is the official one, in a sentence."""
    document, judged = run.document, run.judged
    if judged.simulated:
        return "The data are simulated by a program: the numbers prove the pipeline and say nothing about lungs."
    if document["partial"]:
        return f"The data set was not complete ({document['partial']}): the numbers are not those of the official test."
    if run.spec["split"] != OFFICIAL_SPLIT:
        return f"Judged on training patients (split {run.spec['split']}), not on the official test part."
    if is_official(run.run):
        return "Judged on the complete official test part, whose cycles and labels were compared by their hash."
    if judged.is_pinned:
        return "The judged cycles are not the official ones, or their labels differ."
    return "Judged on the data set's own split; nobody has pinned which cycles are the official ones."


def _rows(run: CardFacts, one: PartScores, rates: tuple[str, ...]) -> Iterator[list[Any]]:
    for judged in run.judged.task.sensitivities:
        metrics: Any = one.metrics[judged]
        hit = "the exact class" if judged == run.judged.task.strict else "any abnormal class"
        yield [
            one.rule,
            _tested(run, one),
            f"{hit} ({judged})",
            metrics["epoch"],
            *(_rate(one, judged, name, metrics[name]) for name in rates),
            f"{metrics['n']:,}",
        ]


def _tested(run: CardFacts, one: PartScores) -> str:
    """The tested part in words, with how far it is what its name says."""
    state = extent_words(run.document["partial"], simulated=run.simulated)
    seen = "patients seen in training" if one.part.patients_seen else None
    more = ", ".join(filter(None, (state, seen)))
    return f"{one.part.title} ({more})" if more else one.part.title


def _rate(one: PartScores, judged: Any, name: str, value: float) -> str:
    estimate = getattr(one.estimates.get(judged), name, None)
    if estimate is None or estimate.is_degenerate:
        return f"{value:.2f}"
    return f"{value:.2f} [{estimate.lo:.2f}, {estimate.hi:.2f}]"


def _notes(run: CardFacts) -> Iterator[str]:
    yield f"- {escaped(data_state(run))}"
    for rule in dict.fromkeys(one.rule for one in run.scores):
        more = f"; {UNDER_TEST}" if rule == "best-test" else ""
        yield f"- {escaped(rule)}: {SELECTIONS[rule]}{more}."
    for sentence in dict.fromkeys(one.coverage for one in run.scores if one.coverage):
        yield f"- {escaped(sentence)}"
    if any(len(one.estimates) > 1 for one in run.scores):
        yield "- Intervals where any abnormal class is a hit are always of this run alone: no seed spread is known."
    if any(not one.estimates for one in run.scores):
        yield "- No interval where fewer than two patients have normal or have abnormal cycles."
    gap = optimism(run.run)
    if gap is not None:
        yield f"- Optimism: choosing the epoch on the test part adds {gap:+.2f} points of Score to the last epoch."
    for one in run.scores:
        for mark in one.marks:
            yield f"- **Mark {escaped(mark.word)}** ({escaped(one.rule)}): {escaped(mark.sentence)}"


def _parts(run: CardFacts) -> Iterator[Iterator[str]]:
    """By patients, devices and classes, of the first rule that the run has."""
    first = run.scores[0].rule
    rates = rate_names(run.judged.task.score)
    for one in (one for one in run.scores if one.rule == first):
        views = {VIEWS[name]: view for name, view in one.parts["views"].items()}
        shown = {**views, **one.parts["devices"]}
        rows = [
            [name, view["cycles"], view["patients"], *(_number(view[rate]) for rate in rates)]
            for name, view in shown.items()
            if view is not None
        ]
        yield iter([f"{capital(one.part.title)}, {first}: patients and recording devices."])
        yield table(["part", "n", "patients", *(HEADS[rate] for rate in rates)], rows)
        recalls = [[name, view["cycles"], _number(view["recall"])] for name, view in one.parts["classes"].items()]
        yield table(["class", "n", "recall"], recalls)


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def _confusion(run: CardFacts, one: PartScores) -> Iterator[str]:
    task = run.judged.task
    metrics: Any = one.metrics[task.strict]
    title = f"{one.rule}, {_tested(run, one)}"
    rows = [[name, *counts] for name, counts in zip(task.classes, metrics["confusion"], strict=True)]
    yield from table([title, *task.classes], rows)


def state_lines(run: CardFacts) -> Iterator[str]:
    """How far the run can be believed, by name."""
    document = run.document
    marks = dict.fromkeys(mark.word for one in run.scores for mark in one.marks)
    return facts(
        {
            "Data": section_title(run.run),
            "State": "recomputed: the metrics follow from the predictions that were stored with the run",
            "Partial": document["partial"] or "no",
            "Simulated": "yes" if run.simulated else "no",
            "Recipes": f"profile {document['profile']}"
            + (" (a demonstration, no attempt at a good Score)" if document["profile"] == "demo" else ""),
            "Signed": "no; only submissions carry a signature",
            "Marks": ", ".join(marks) or "none",
            "Search": _search(document),
        }
    )


def _search(document: Any) -> str | None:
    study = document.get("study")
    if study is None:
        return None
    where = "THE TEST PART" if study["objective"] == "test" else "held-out training patients"
    return f"{study['role']} of the study {study['name']}, tuned on {where}"
