"""How searches are printed: what would be searched, and what studies hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from bench.cli.grid import print_grid
from bench.cli.output import print_json, print_text
from bench.core.errors import RunError
from bench.core.text import counted_noun, plain

if TYPE_CHECKING:
    from bench.api.searches import PlannedSearch
    from bench.api.study import Study

MOST_ROWS = 100
"""Trials that a terminal gets, the best ones: nobody reads more there, and laying out a row takes a millisecond."""

WRAPPED = ("study", "why", "params")
"""Columns whose cells may be wrapped."""


def score_words(value: float | None) -> str:
    """A Score, percent."""
    return "–" if value is None else f"{value:.2f}"


def count_words(row: Mapping[str, Any]) -> str:
    """How many trials of a study have ended, and how."""
    names = {"complete": "complete", "pruned": "pruned", "fail": "failed", "running": "running", "waiting": "waiting"}
    told = ", ".join(f"{row['counts'][key]} {word}" for key, word in names.items() if row["counts"][key])
    return f"{row['trials']} of {row['target']}" + (f" ({told})" if told else "")


def print_planned(planned: Sequence[PlannedSearch], output: str) -> None:
    """Print what would be searched."""
    if output == "json":
        documents = [item.to_json() for item in planned]
        print_json(documents if len(documents) > 1 else documents[0])
        return
    for item in planned:
        for name, value in _facts(item).items():
            print_text(f"{name}: {value}")
        script = item.script()
        if script is not None:
            print_text(script)


def _facts(planned: PlannedSearch) -> dict[str, str]:
    from bench.api.searches import objective_words

    request, session = planned.request, planned.session
    return {
        "study": session.name,
        "storage": str(session.place),
        **_judged(request.identity),
        "objective": objective_words(request.objective),
        "trials": str(planned.target),
        "runs of a trial": str(len(request.seeds) * request.folds),
        **_length(planned),
        "sampler, pruner": f"{request.sampler}, {request.pruner}",
        "workers": str(session.workers) + (f", on {session.launch.launcher}" if session.launch.elsewhere else ""),
        **{f"space of {dimension.name}": str(dimension) for dimension in request.space},
    }


def _judged(identity: Mapping[str, Any]) -> dict[str, str]:
    """The task of the runs; nothing of the four classes, which have no word for it in a spec."""
    return {"task": f"{identity['dataset']}, {identity['task']}"} if "task" in identity else {}


def _length(planned: PlannedSearch) -> dict[str, str]:
    schedule = planned.base.schedule
    if schedule.iterations:
        return {"iterations of a run": str(schedule.iterations)}
    return {"epochs of a run": str(schedule.epochs)}


def finish(done: Sequence[Study], output: str) -> None:
    """Print studies that were worked on; the exit code says whether all is well."""
    documents = [item.to_json() for item in done]
    if output == "json":
        print_json(documents if len(documents) > 1 else documents[0])
    else:
        for document in documents:
            print_study(document, output)
    if not all(item.well for item in done):
        raise typer.Exit(RunError.exit_code)


def print_study(document: Mapping[str, Any], output: str) -> None:
    """Print a study with its trials, what it cost and its best.

    Args:
        document: The study as JSON.
        output: ``table`` or ``json``.
    """
    from bench.api.searches import objective_words

    if output == "json":
        print_json(document)
        return
    names = list(document["request"]["params"])
    heads = ("trial", "state", *names, "Score", "seconds", "run", "why")
    shown = _shown(document["trials"])
    rows = [_cells(trial, names) for trial in shown]
    title = f"study {document['study']}: {objective_words(document['objective'])}"
    if len(shown) < len(document["trials"]):
        title += f" (the best {len(shown)} of {len(document['trials'])} trials; all with --format json)"
    print_grid(title, heads, rows, numbers=("Score", "seconds"), wrap=WRAPPED)
    for line in _summary_lines(document):
        print_text(line)


def _cells(trial: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    cells = [
        str(trial["number"]),
        trial["state"].lower(),
        *(_value(trial["params"].get(name)) for name in names),
        score_words(trial["value"]),
        "–" if trial["seconds"] is None else f"{trial['seconds']:.1f}",
        trial["run_id"] or "–",
        trial["error"] or trial["pruned"] or "",
    ]
    return [plain(cell) for cell in cells]


def _shown(trials: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """The trials by number; of very many the best, the best first."""
    if len(trials) <= MOST_ROWS:
        return trials
    complete = [trial for trial in trials if trial["state"] == "COMPLETE"]
    return sorted(complete, key=lambda trial: (-trial["value"], trial["number"]))[:MOST_ROWS]


def _value(value: Any) -> str:
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _summary_lines(document: Mapping[str, Any]) -> list[str]:
    spent, found = document["budget"], document["best"]
    counts = {"complete": spent["complete"], "pruned": spent["pruned"], "failed": spent["fail"]}
    if spent["tried_again"]:
        counts["of them done again"] = spent["tried_again"]
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    space = "; ".join(f"{name} {text}" for name, text in spent["space"].items())
    done = spent["trials"] - spent["tried_again"]
    lines = [
        f"Budget: {done} of {counted_noun(document['target'], 'trial')} ({told}), {spent['gpu_hours']:.2f} GPU hours, "
        f"{spent['cpu_hours']:.2f} CPU hours. Space: {space}.",
    ]
    if found is not None:
        params = ", ".join(f"{name} {_value(value)}" for name, value in found["params"].items())
        lines.append(f"Best: trial {found['number']}, {params}: Score {found['value']:.2f}, {judged_on(document)}.")
    if document["final"]:
        lines.append("Its final runs are on the board: bench report leaderboard")
    return lines


def judged_on(document: Mapping[str, Any]) -> str:
    """Which cycles the Score of a study's trials is of."""
    if document["objective"] == "test":
        return "last epoch, on the TEST SET"
    folds = document["request"]["folds"]
    where = f"{folds} folds of" if folds > 1 else "a fifth of"
    return f"last epoch, on {where} the training patients"
