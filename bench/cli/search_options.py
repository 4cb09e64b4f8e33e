"""Options of `bench search` and its commands alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from typer import Option

from bench.cli.completion import completer

Params = Annotated[
    list[str] | None, Option("--param", help="What to search: alpha,tau,beta, lr, any field; may be repeated.")
]
Trials = Annotated[int | None, Option(help="Trials of the study in total, whoever adds them (a grid: all its points).")]
StudyName = Annotated[
    str | None,
    Option(
        "--study",
        help="Name (default: from model, method and parameters).",
        metavar="NAME",
        autocompletion=completer("studies"),
    ),
]
Spaces = Annotated[
    list[str] | None,
    Option(
        "--space",
        help="key=low..high, key=low..high:log or key=a,b,c instead of what is declared; may be repeated.",
    ),
]
Workers = Annotated[int, Option(help="Processes that work on trials side by side, each with its own device.")]
Sampler = Annotated[str, Option(help="auto (tpe), tpe, gp, cmaes, random or grid.")]
Pruner = Annotated[
    str | None, Option(help="hyperband, median, wilcoxon or none (default: median; none for a grid or iterations).")
]
SeedsPerTrial = Annotated[int, Option(help="Runs of a trial with seeds 1 to K; their mean counts.")]
Folds = Annotated[int, Option(help="1: a fifth of the training patients is held out; K: cross-validation.")]
Objective = Annotated[str, Option(help="held-out, or test, which marks every row as tuned on the test set.")]
FinalSeeds = Annotated[str, Option(help="Seeds that the best is trained with in the end: 1-5, or none.")]
GiveUpAfter = Annotated[
    int, Option(help="Stop after so many trials in a row that failed with the same cause; 0: never.")
]
SamplerSeed = Annotated[int, Option(help="Seed of the sampler.")]

MoreTrials = Annotated[int | None, Option("--trials", help="Trials in total; more than before extends the study.")]
RetryFailed = Annotated[bool, Option("--retry-failed", help="Do the trials that failed again, with their parameters.")]
OtherFinalSeeds = Annotated[
    str | None,
    Option("--final-seeds", help="Seeds that the best is trained with in the end: 1-5, or none (default: as before)."),
]
OtherGiveUpAfter = Annotated[
    int | None,
    Option(
        "--give-up-after", help="Stop after so many trials in a row that failed alike; 0: never (default: as before)."
    ),
]
OtherProcesses = Annotated[int | None, Option("--processes", help="Processes that share a run (default: as before).")]

OF_A_STUDY = (
    *("trials", "study", "sampler", "pruner", "seeds_per_trial", "folds", "objective", "final_seeds"),
    *("give_up_after", "sampler_seed"),
)
"""Options that :class:`bench.search.planning.SearchOptions` knows by the same name."""


def search_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """What is searched and how, from the options of `bench search` as ``typer.Context.params`` has them."""
    lists = {"params": given["param"] or (), "space": given["space"] or ()}
    return {**lists, **{name: given[name] for name in OF_A_STUDY}}
