"""How studies are printed."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.cli.output import print_json, print_rendered, print_text

if TYPE_CHECKING:
    from bench.cli.search_run import SearchRun
    from bench.experiment.spec import RunSpec
    from bench.search.request import StudyRequest
    from bench.search.study import Search

MOST_ROWS = 100
"""Trials that a terminal gets, the best ones: nobody reads more there, and laying out a row takes a millisecond."""


def objective_words(objective: str) -> str:
    """What a study's trials are judged on."""
    return "TUNED ON THE TEST SET" if objective == "test" else "held-out training patients"


def score_words(value: float | None) -> str:
    """A Score, percent."""
    return "–" if value is None else f"{value:.2f}"


def count_words(row: Mapping[str, Any]) -> str:
    """How many trials of a study have ended, and how."""
    names = {"complete": "complete", "pruned": "pruned", "fail": "failed", "running": "running", "waiting": "waiting"}
    told = ", ".join(f"{row['counts'][key]} {word}" for key, word in names.items() if row["counts"][key])
    return f"{row['trials']} of {row['target']}" + (f" ({told})" if told else "")


_Plan = tuple["SearchRun", "StudyRequest", "RunSpec", int]


def print_plans(plans: Sequence[_Plan], output: str) -> None:
    """Print what would be searched."""
    if output == "json":
        documents = [
            {"study": run.name, "trials": target, "storage": str(run.place), "request": request.to_json()}
            for run, request, _, target in plans
        ]
        print_json(documents if len(documents) > 1 else documents[0])
        return
    for plan in plans:
        _print_plan(*plan)


def _print_plan(run: SearchRun, request: StudyRequest, base: RunSpec, target: int) -> None:
    facts = {
        "study": run.name,
        "storage": str(run.place),
        "objective": objective_words(request.objective),
        "trials": str(target),
        "runs of a trial": str(len(request.seeds) * request.folds),
        "epochs of a run": str(base.epochs),
        "sampler, pruner": f"{request.sampler}, {request.pruner}",
        "workers": str(run.workers),
        **{f"space of {dimension.name}": str(dimension) for dimension in request.space},
    }
    for name, value in facts.items():
        print_text(f"{name}: {value}")


def print_study(study: Search, output: str) -> None:
    """Print a study with its trials, what it cost and its best."""
    from bench.search.study import describe

    document = describe(study)
    if output == "json":
        print_json(document)
        return
    names = list(document["request"]["params"])
    heads = ("trial", "state", *names, "Score", "seconds", "run", "why")
    cells = [
        [
            str(trial["number"]),
            trial["state"].lower(),
            *(_value(trial["params"].get(name)) for name in names),
            score_words(trial["value"]),
            "–" if trial["seconds"] is None else f"{trial['seconds']:.1f}",
            trial["run_id"] or "–",
            trial["error"] or trial["pruned"] or "",
        ]
        for trial in _shown(document["trials"])
    ]
    title = f"study {study.name}: {objective_words(study.request.objective)}"
    if len(cells) < len(document["trials"]):
        title += f" (the best {len(cells)} of {len(document['trials'])} trials; all with --format json)"
    print_grid(title, heads, cells, numbers=("Score", "seconds"))
    for line in _summary_lines(study, document):
        print_text(line)


def _shown(trials: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """The trials by number; of very many the best, the best first."""
    if len(trials) <= MOST_ROWS:
        return trials
    complete = [trial for trial in trials if trial["state"] == "COMPLETE"]
    return sorted(complete, key=lambda trial: (-trial["value"], trial["number"]))[:MOST_ROWS]


def _value(value: Any) -> str:
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _summary_lines(study: Search, document: Mapping[str, Any]) -> list[str]:
    spent, found = document["budget"], document["best"]
    counts = {"complete": spent["complete"], "pruned": spent["pruned"], "failed": spent["fail"]}
    if spent["tried_again"]:
        counts["of them done again"] = spent["tried_again"]
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    space = "; ".join(f"{name} {text}" for name, text in spent["space"].items())
    done = spent["trials"] - spent["tried_again"]
    lines = [
        f"Budget: {done} of {document['target']} trials ({told}), {spent['gpu_hours']:.2f} GPU hours, "
        f"{spent['cpu_hours']:.2f} CPU hours. Space: {space}.",
    ]
    if found is not None:
        params = ", ".join(f"{name} {_value(value)}" for name, value in found["params"].items())
        lines.append(f"Best: trial {found['number']}, {params}: Score {found['value']:.2f}, {judged_on(study)}.")
    if document["final"]:
        lines.append("Its final runs are on the board: bench report leaderboard")
    return lines


def judged_on(study: Search) -> str:
    """Which cycles a trial's Score is of."""
    request = study.request
    if request.objective == "test":
        return "last epoch, on the TEST SET"
    where = f"{request.folds} folds of" if request.folds > 1 else "a fifth of"
    return f"last epoch, on {where} the training patients"


def print_grid(title: str, heads: Sequence[str], cells: Sequence[Sequence[str]], numbers: Sequence[str]) -> None:
    """Print cells as a table; those under ``numbers`` stand to the right."""
    from bench.core.text import plain
    from leaderboard.render.cells import Column, Report, text_table
    from leaderboard.render.terminal import write

    columns = [Column(head, number=head in numbers, wrap=head in ("study", "why", "params")) for head in heads]
    rows = [[plain(cell) for cell in row] for row in cells]
    print_rendered(write(Report("search", [text_table(title, columns, rows)]), colour=sys.stdout.isatty()))
