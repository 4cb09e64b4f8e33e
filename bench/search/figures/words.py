"""The sentences that stand with a figure in every form: what was searched, on what, and what is not drawn."""

from __future__ import annotations

from bench.core.text import plain
from bench.search.figures.data import TEST, FigureData, Parameter, StudyData, TrialData, Value
from leaderboard.published.figure2 import printed_figure2

MOST_CONTOURS = 6
"""Pairs that get a contour; the data of all of them are in CSV and JSON."""

STATES = {
    "COMPLETE": "finished",
    "PRUNED": "pruned",
    "FAIL": "failed",
    "RUNNING": "running",
    "WAITING": "waiting",
}


def value_words(value: Value) -> str:
    """Write a parameter's value as it is printed: of a number four digits."""
    return f"{value:.4g}" if isinstance(value, int | float) and not isinstance(value, bool) else plain(value)


def score_words(trial: TrialData) -> str:
    """Write a finished trial's Score as it is printed, with its deviation."""
    return f"{trial.score:.2f}" + (f" ± {trial.std:.2f}" if trial.std is not None else "")


def title(figure: FigureData) -> str:
    """Write the title of the figure, which names the searched parameters."""
    names = ", ".join(plain(parameter.symbol) for parameter in figure.parameters.values())
    return f"Score against {names}" if names else "Score against the searched parameters"


def objective_words(study: StudyData) -> str:
    """Say what the Score of the trials was measured on."""
    if study.objective == TEST:
        return "TUNED ON THE TEST SET: the objective is the test Score"
    return "objective: Score on held-out training patients"


def counts_words(study: StudyData) -> str:
    """Say how many trials are in each state."""
    counts = {"COMPLETE": 0, **study.counts}
    return "trials: " + ", ".join(f"{count} {STATES[state]}" for state, count in counts.items())


def runs_words(study: StudyData) -> str | None:
    """Say which runs the deviations are over; None where no trial has two runs."""
    repeated = [trial for trial in study.finished if trial.std is not None]
    if not repeated:
        return None
    numbers = sorted({len(trial.scores) for trial in repeated})
    between = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    parts = ["seeds"] * _has_several(repeated, "seeds") + ["folds"] * _has_several(repeated, "folds")
    over = f" ({' and '.join(parts)})" if parts else ""
    return f"± is the sample standard deviation over the {between} runs of a trial{over}"


def _has_several(trials: list[TrialData], name: str) -> bool:
    return any(len(set(getattr(trial, name))) > 1 for trial in trials)


def study_line(study: StudyData) -> str:
    """Describe a study in one line."""
    data = study.data and study.data.replace("simulated", "SIMULATED DATA")
    system = " + ".join(word for word in (study.model, study.method) if word)
    parts = [f"study {study.name}", system, data, objective_words(study), counts_words(study)]
    return "; ".join(plain(part) for part in parts if part)


def limits(study: StudyData) -> list[str]:
    """Say what must be known of a study's figures, and why some are not there, a sentence each."""
    if not study.finished:
        return ["No finished trial yet: nothing is drawn."]
    reasons = [study.importance.none_because] if study.importance.none_because else []
    if len(study.varying) < 2:
        reasons.append("No parallel coordinates and no contour: fewer than two parameters vary.")
    if len(study.varying) > 2:
        reasons.append("A contour is interpolated between trials in which the other parameters differ too.")
    if len(study.pairs) > MOST_CONTOURS:
        reasons.append(f"Contours of {MOST_CONTOURS} of the {len(study.pairs)} pairs.")
    return reasons


def chosen_words(parameter: Parameter) -> str | None:
    """Say what the paper chose for a parameter; None where it does not tell."""
    return None if parameter.chosen is None else f"the paper's choice {value_words(parameter.chosen)}"


def notes(figure: FigureData) -> list[str]:
    """Write the sentences that stand below the figure."""
    of_study: dict[str, list[str]] = {}
    for study in figure.studies:
        runs = runs_words(study)
        for sentence in ([f"{runs}."] if runs else []) + limits(study):
            of_study.setdefault(sentence, []).append(plain(study.name))
    found = [
        sentence if len(names) == len(figure.studies) else f"{', '.join(names)}: {sentence}"
        for sentence, names in of_study.items()
    ]
    chosen = [p for p in figure.parameters.values() if p.chosen is not None]
    if chosen:
        values = ", ".join(f"{parameter.symbol} {value_words(parameter.chosen)}" for parameter in chosen)
        found.append(f"The paper's choice: {values} ({printed_figure2().source}; its bars print no numbers).")
    return found


def importance_words(study: StudyData) -> str:
    """Say how the importance was computed and from how many trials."""
    importance = study.importance
    return f"importance: PED-ANOVA, best {importance.best} of {importance.trials} trials; ± bootstrap of the trials"
