"""From what a user asks for to a search that can begin: its space, its request, its name, and all of it checked."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from bench.core import paper
from bench.core.cards import Card
from bench.core.errors import SpecError
from bench.core.registry import suggestion
from bench.core.text import echoed
from bench.experiment.devices import runs_elsewhere, warn_of_cpu_elsewhere
from bench.experiment.recipes import DEMO, DataSource, Request, check_pair, resolve
from bench.experiment.seeds import parse_seeds
from bench.experiment.spec import RunSpec
from bench.launch.jobs import LaunchOptions
from bench.search.request import StudyRequest, build_request, check_trials, check_words
from bench.search.session import SearchSession, WorkedOn
from bench.search.space import Dimension, build_space
from bench.search.study import Settings
from leaderboard.published.figure2 import printed_figure2

NO_FINALS = "none"

ChooseSource = Callable[[Request], DataSource]


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """What a user asks of a search, beside what its runs are; the defaults of command and function.

    Attributes:
        params: Names of what is searched.
        space: Texts like ``lr=1e-5..1e-3:log`` and ``batch=8,16`` in the place of declared spaces.
        trials: Trials in total; a grid has its own number.
        study: Name of the study; by default from model, method and parameters.
        sampler: ``auto`` (tpe), ``tpe``, ``gp``, ``cmaes``, ``random`` or ``grid``.
        pruner: ``hyperband``, ``median``, ``wilcoxon`` or ``none``; median by default, none for a grid
            and for runs whose length is given in iterations.
        seeds_per_trial: Runs of a trial, with seeds 1 to so many.
        folds: 1 for a single hold-out, or the folds of a cross-validation.
        objective: ``held-out`` or ``test``.
        final_seeds: Seeds that the best is trained with in the end, ``1-5``, or ``none``.
        give_up_after: Trials in a row that may fail with the same cause; 0 for any number.
        sampler_seed: Seed of the sampler.
    """

    params: Sequence[str] = ()
    space: Sequence[str] = ()
    trials: int | None = None
    study: str | None = None
    sampler: str = "auto"
    pruner: str | None = None
    seeds_per_trial: int = 1
    folds: int = 1
    objective: str = "held-out"
    final_seeds: str = "1-5"
    give_up_after: int = 5
    sampler_seed: int = 1


@dataclass(frozen=True)
class PlannedSearch:
    """A search that can begin.

    Attributes:
        session: How it is worked on.
        request: What the study is.
        base: The spec of its runs but for the parameters.
        target: Trials that it shall have in total.
    """

    session: SearchSession
    request: StudyRequest
    base: RunSpec
    target: int

    def to_json(self) -> dict[str, Any]:
        """What would be searched, as ``--dry-run`` prints it."""
        session = self.session
        return {
            "study": session.name,
            "trials": self.target,
            "storage": str(session.place),
            "request": self.request.to_json(),
            **({} if (script := self.script()) is None else {"script": script}),
        }

    def script(self) -> str | None:
        """The script that sbatch would be given for the workers; None for another launcher."""
        return self.session.script(self.base.execution(), self.target)

    def start(self) -> WorkedOn:
        """Make or open the study, and work on it; raises as :meth:`SearchSession.start` does."""
        return self.session.start(self.request, self.base.execution(), self.target)


def plan_search(
    asked: Request,
    options: SearchOptions,
    choose: ChooseSource,
    *,
    home: Path,
    storage: str | None,
    workers: int,
    launch: LaunchOptions | None = None,
) -> PlannedSearch:
    """Check a search as far as can be without beginning it.

    Args:
        asked: What its runs are.
        options: What is searched, and how.
        choose: Decides on the data.
        home: Results folder.
        storage: Where the study is kept; None for a file in the results folder.
        workers: Processes that work on trials side by side.
        launch: Where they are carried out; on this machine by default.

    Raises:
        BenchError: The first thing that stands in the way.
    """
    with runs_elsewhere(launch is not None and launch.elsewhere):
        return _planned(asked, options, choose, home, storage, workers, launch or LaunchOptions())


def _planned(
    asked: Request,
    options: SearchOptions,
    choose: ChooseSource,
    home: Path,
    storage: str | None,
    workers: int,
    launch: LaunchOptions,
) -> PlannedSearch:
    check_words(options.objective, options.sampler, options.pruner)
    seeds = _trial_seeds(options.seeds_per_trial)
    names = [name.strip() for text in options.params for name in text.split(",")]
    is_grid = options.sampler == "grid"
    # Before the base: what is wrong here needs no data.
    space = build_space(names, options.space, cards_of_request(asked), grid=is_grid)
    asked = _of_searched_length(asked, space)
    (base,) = resolve(asked, choose(asked), [1])
    warn_of_cpu_elsewhere(launch.launcher, asked.device, [base.distribution.device])
    request = build_request(
        base,
        space,
        objective=options.objective,
        folds=options.folds,
        seeds=seeds,
        sampler=options.sampler,
        pruner=options.pruner,
        sampler_seed=options.sampler_seed,
    )
    session = SearchSession(
        home=home,
        storage=storage,
        name=options.study or default_name(request),
        workers=workers,
        settings=Settings(final_seeds_of(options.final_seeds), checked_give_up_after(options.give_up_after)),
        launch=launch,
    )
    target = check_trials(request, options.trials)
    session.check(request, base.execution())
    return PlannedSearch(session, request, base, target)


def _of_searched_length(asked: Request, space: Sequence[Dimension]) -> Request:
    """Give the base of a study some iterations where they are searched: recipes leave their epochs and warm-up out."""
    for dimension in space:
        if dimension.field == "iterations":
            longest = max(dimension.values, default=int(dimension.high))
            return dataclasses.replace(asked, fields={**asked.fields, "iterations": longest})
    return asked


def plan_figure2(
    asked: Request,
    choose: ChooseSource,
    *,
    only: str | None,
    seeds: str | None,
    objective: str,
    home: Path,
    workers: int,
    launch: LaunchOptions | None = None,
) -> list[PlannedSearch]:
    """A search for each of the figure's parameters over its grid, the others at the paper's values.

    Args:
        asked: What the runs are; model and method are the figure's.
        choose: Decides on the data.
        only: A pattern of parameter names.
        seeds: Seeds of each point; 1-5 by default, 1 in the demo profile.
        objective: ``held-out`` or ``test``.
        home: Results folder.
        workers: Processes that work on trials side by side.
        launch: Where they are carried out; on this machine by default.

    Raises:
        BenchError: As :func:`plan_search`, and if the pattern matches no parameter.
    """
    figure = printed_figure2()
    names = [name for name in figure.parameters if only is None or fnmatchcase(name, only)]
    if not names:
        raise SpecError(
            f"--only '{echoed(only)}' matches no parameter of figure2: {suggestion(str(only), figure.parameters)}"
        )
    asked = dataclasses.replace(asked, model=figure.model, method=figure.method)
    with runs_elsewhere(launch is not None and launch.elsewhere):
        return _figure2(asked, choose, names, seeds, objective, home, workers, launch or LaunchOptions())


def _figure2(
    asked: Request,
    choose: ChooseSource,
    names: Sequence[str],
    seeds: str | None,
    objective: str,
    home: Path,
    workers: int,
    launch: LaunchOptions,
) -> list[PlannedSearch]:
    source = choose(asked)
    chosen = parse_seeds(None, seeds or ("1" if source.profile == DEMO else "1-5"))
    (base,) = resolve(asked, source, [1])
    warn_of_cpu_elsewhere(launch.launcher, asked.device, [base.distribution.device])
    planned = []
    for name in names:
        space = build_space([name], [], cards_of_request(asked), grid=True)
        request = build_request(
            base, space, objective=objective, folds=1, seeds=chosen, sampler="grid", pruner=None, sampler_seed=1
        )
        study = f"{paper.FIGURE}-{name}" + ("-test" if objective == "test" else "")
        settings = Settings(final_seeds=())
        session = SearchSession(
            home=home,
            storage=None,
            name=study,
            workers=workers,
            settings=settings,
            launch=launch,
        )
        session.check(request, base.execution())
        planned.append(PlannedSearch(session, request, base, check_trials(request, None)))
    return planned


def default_name(request: StudyRequest) -> str:
    """A study's name where none is given: model, method, task where it is not the four classes, and parameters."""
    judged = [str(request.identity[name]) for name in ("dataset", "task") if "task" in request.identity]
    words = [request.model, request.method, *judged, *(dimension.name for dimension in request.space)]
    words += ["test"] if request.objective == "test" else []
    # A name is of ASCII characters, and begins with a letter or a digit.
    return re.sub(r"[^A-Za-z0-9._-]", "-", "-".join(words)).lstrip("._-")[:100] or "study"


def _trial_seeds(number: int) -> list[int]:
    if not 1 <= number <= 100:
        raise SpecError(f"--seeds-per-trial is {number}, but must be 1 to 100.")
    return list(range(1, number + 1))


def final_seeds_of(text: str) -> tuple[int, ...]:
    """The seeds that a text like ``1-5`` means, none for ``none``; raises SpecError."""
    return () if text == NO_FINALS else tuple(parse_seeds(None, text, "--final-seeds"))


def checked_give_up_after(number: int) -> int:
    """The number of failures in a row after which a search stops; raises SpecError where it cannot be one."""
    if not 0 <= number <= 1_000_000:
        raise SpecError(f"--give-up-after is {number}, but must be 0 (never) to 1,000,000.")
    return number


def cards_of_request(asked: Request) -> dict[str, Card]:
    """The cards of a request, by owner; raises SpecError for an unknown id."""
    import baselines
    import methods
    from bench.data.frontends import FRONTENDS
    from bench.experiment.plugins import load_plugins

    load_plugins(asked.plugins)
    model, method = baselines.MODELS.card(asked.model), methods.METHODS.card(asked.method)
    check_pair(model, method)
    return {"model": model, "method": method, "frontend": FRONTENDS.card(asked.frontend or model.frontend)}
