"""``bench search``: studies of hyper-parameters, and what is known of them."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.output import Plugins, check_format, notice, print_json, print_text
from bench.errors import InterruptedRunError, RunError, SpecError
from bench.registry import suggestion

if TYPE_CHECKING:
    from bench.cards import Card
    from bench.recipes import Request
    from bench.search.finals import Final
    from bench.search.request import StudyRequest
    from bench.search.storage import Place
    from bench.search.study import Search
    from bench.spec import RunSpec

app = typer.Typer(
    help="Search hyper-parameters with Optuna, without looking at the test set.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Name = Annotated[str, typer.Argument(help="The study's name; see `bench search list`.")]
Storage = Annotated[
    str | None,
    typer.Option(
        envvar="BENCH_STUDIES",
        show_envvar=True,
        help="postgresql://… or a journal file on a shared disk (default: HOME/studies/NAME.journal).",
    ),
]
Workers = Annotated[int, typer.Option(help="Processes that work on trials side by side, each with its own device.")]
FinalSeeds = Annotated[str, typer.Option(help="Seeds that the best is trained with in the end: 1-5, or none.")]
Data = Annotated[
    str | None, typer.Option(help="Folder of the ICBHI data, or `demo` (default: BENCH_DATA or ./data/icbhi).")
]
Home = Annotated[Path | None, typer.Option(help="Results folder (default: BENCH_HOME or ./results).")]
Cache = Annotated[Path | None, typer.Option(help="Cache folder (default: BENCH_CACHE or the user's).")]
Format = Annotated[str, typer.Option("--format", help="table or json.")]

NO_FINALS = "none"
FIGURE2 = ("alpha", "tau", "beta")


def register(parent: typer.Typer) -> None:
    """Add the group."""
    parent.add_typer(app, name="search")


@app.callback(invoke_without_command=True)
def search(
    context: typer.Context,
    model: Annotated[str | None, typer.Option(help="Model id; see `bench models list`.")] = None,
    method: Annotated[str | None, typer.Option(help="Method id; see `bench methods list`.")] = None,
    param: Annotated[
        list[str] | None, typer.Option(help="What to search: alpha,tau,beta, lr, any field; may be repeated.")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Trials of the study in total, whoever adds them (a grid: all its points).")
    ] = None,
    study: Annotated[str | None, typer.Option(help="Name (default: from model, method and parameters).")] = None,
    space: Annotated[
        list[str] | None,
        typer.Option(
            help="key=low..high, key=low..high:log or key=a,b,c instead of what is declared; may be repeated."
        ),
    ] = None,
    workers: Workers = 1,
    storage: Storage = None,
    sampler: Annotated[str, typer.Option(help="auto (tpe), tpe, gp, cmaes, random or grid.")] = "auto",
    pruner: Annotated[
        str | None, typer.Option(help="hyperband, median, wilcoxon or none (default: median; none for a grid).")
    ] = None,
    seeds_per_trial: Annotated[int, typer.Option(help="Runs of a trial with seeds 1 to K; their mean counts.")] = 1,
    folds: Annotated[
        int, typer.Option(help="1: a fifth of the training patients is held out; K: cross-validation.")
    ] = 1,
    objective: Annotated[
        str, typer.Option(help="held-out, or test, which marks every row as tuned on the test set.")
    ] = "held-out",
    final_seeds: FinalSeeds = "1-5",
    sampler_seed: Annotated[int, typer.Option(help="Seed of the sampler.")] = 1,
    pretrain: Annotated[
        str | None, typer.Option(help="none, imagenet, imagenet+audioset, audioset, file, folder or URL.")
    ] = None,
    frontend: Annotated[str | None, typer.Option(help="Front-end id (default: the model's own).")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value: any field of the spec or option; may be repeated.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of every run.")] = None,
    data: Data = None,
    profile: Annotated[str, typer.Option(help="auto, paper or demo.")] = "auto",
    processes: Annotated[int, typer.Option(help="Processes (GPUs) that share a run.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    allow_partial: Annotated[
        bool, typer.Option(help="Search although recordings are missing; marked as partial.")
    ] = False,
    plugin: Plugins = None,
    dry_run: Annotated[bool, typer.Option(help="Print what would be searched and stop.")] = False,
    output: Format = "table",
    home: Home = None,
    cache: Cache = None,
) -> None:
    """Search hyper-parameters on held-out training patients, then train the best and look at the test set once.

    The same command goes on with its study; trials of workers that were killed are taken up again.

    Examples:
      bench search --model ast --method patchmix-cl --param alpha,tau,beta --trials 60
      bench search --model cnn6 --method ce --param lr,weight_decay --space lr=1e-5..1e-2:log --trials 40 --workers 4
      bench search list
      bench search resume ast-patchmix-cl-alpha-tau-beta --trials 100
    """
    if context.invoked_subcommand is not None:
        return
    from bench.paths import cache_folder, home_folder
    from bench.recipes import Request, choose_source, resolve
    from bench.search.request import build_request, check_trials
    from bench.search.space import build_space

    check_format(output)
    if model is None or method is None:
        raise SpecError(
            "Name a model and a method.",
            "For example: bench search --model ast --method patchmix-cl --param alpha,tau,beta --trials 60",
        )
    asked = Request(
        model=model,
        method=method,
        pretrain=pretrain,
        frontend=frontend,
        profile=profile,
        data=data,
        cache=cache_folder(cache),
        settings=settings or (),
        fields={"epochs": epochs},
        allow_partial=allow_partial,
        processes=processes,
        device=device,
        precision=precision,
        plugins=plugin or (),
    )
    seeds = _trial_seeds(seeds_per_trial)
    names = [name.strip() for text in param or () for name in text.split(",")]
    build_space(names, space or (), _cards(asked), grid=sampler == "grid")  # what is wrong here needs no data
    source = choose_source(asked)
    notice(f"profile {source.profile}: {source.reason}")
    (base,) = resolve(asked, source, [1], notice)
    request = build_request(
        base,
        build_space(names, space or (), _cards(asked), grid=sampler == "grid"),
        objective=objective,
        folds=folds,
        seeds=seeds,
        sampler=sampler,
        pruner=pruner,
        sampler_seed=sampler_seed,
    )
    run = _Run(
        home=home_folder(home),
        storage=storage,
        name=study or default_name(request),
        workers=workers,
        final_seeds=_final_seeds(final_seeds),
        output=output,
    )
    run.check(request)
    target = check_trials(request, trials)
    if dry_run:
        _print_plan(run, request, base, target)
        return
    _finish([run.start(request, base.execution(), target)], output)


def default_name(request: StudyRequest) -> str:
    """A study's name where none is given: model, method and parameters."""
    words = [request.model, request.method, *(dimension.name for dimension in request.space)]
    words += ["test"] if request.objective == "test" else []
    return "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in "-".join(words))[:100]


def _trial_seeds(number: int) -> list[int]:
    if not 1 <= number <= 100:
        raise SpecError(f"--seeds-per-trial is {number}, but must be 1 to 100.")
    return list(range(1, number + 1))


def _final_seeds(text: str) -> list[int]:
    from bench.recipes import parse_seeds

    return [] if text == NO_FINALS else parse_seeds(None, text)


def _cards(asked: Any) -> dict[str, Card]:
    """The cards of a request, by owner; raises SpecError for an unknown id."""
    import baselines
    import methods
    from bench.data.frontends import FRONTENDS
    from bench.plugins import load_plugins
    from bench.recipes import check_pair

    load_plugins(asked.plugins)
    model, method = baselines.MODELS.card(asked.model), methods.METHODS.card(asked.method)
    check_pair(model, method)
    return {"model": model, "method": method, "frontend": FRONTENDS.card(asked.frontend or model.frontend)}


@dataclass(frozen=True, kw_only=True)
class _Run:
    """How a search is run this time."""

    home: Path
    storage: str | None
    name: str
    workers: int
    final_seeds: Sequence[int]
    output: str

    @property
    def place(self) -> Place:
        from bench.search.storage import Place

        return Place.of(self.storage, self.home, self.name)

    def check(self, request: StudyRequest) -> None:
        """Refuse what could not be run, before anything is made."""
        from bench.search.optuna_parts import check_installed
        from bench.search.storage import check_name

        check_name(self.name)
        check_installed(request)
        if not 1 <= self.workers <= 1024:
            raise SpecError(f"--workers is {self.workers}, but must be at least 1.")
        if self.workers > 1 and self.place.one_writer:
            raise SpecError(
                f"SQLite takes one worker at a time, but --workers is {self.workers}.",
                "Leave --storage out (a journal file serves many workers), or use PostgreSQL.",
            )

    def start(self, request: StudyRequest, execution: Mapping[str, Any], target: int) -> _Done:
        """Make or open the study, and work on it."""
        from bench.search.study import make_study

        with self.place.only_user():
            return self.go_on(make_study(self.place, self.name, request, execution, target), execution)

    def go_on(self, study: Search, execution: Mapping[str, Any]) -> _Done:
        """Do the trials that are missing, then the final runs."""
        from bench.search.workers import Crew

        done = sum(trial.state.is_finished() for trial in study.trials)
        notice(
            f"study {study.name}: {study.target} trials in all, {done} done; "
            f"objective: {_objective(study.request.objective)}; {study.place}"
        )
        try:
            if not _is_over(study):
                Crew(study, self.home, execution, self.workers, notice).run()
            finals = self._finals(study, execution)
        except InterruptedRunError as error:
            raise InterruptedRunError(error.message, f"Go on with: {self._resume_command()}") from error
        return _Done(study, well=self._is_well(study, finals))

    @staticmethod
    def _is_well(study: Search, finals: Sequence[Final]) -> bool:
        return not any(final.error for final in finals) and (study.best is not None or not _is_over(study))

    def _finals(self, study: Search, execution: Mapping[str, Any]) -> list[Final]:
        from bench.search.finals import train_best
        from bench.search.study import cards_of

        if not self.final_seeds:
            return []
        if not _is_over(study):
            notice(f"other workers are at trials of this study; when they are done: bench search resume {study.name}")
            return []
        if study.best is None:
            notice("no trial was completed, so that there is nothing to train in the end")
            return []
        return train_best(study, self.home, execution, cards_of(study.request), self.final_seeds, notice)

    def _resume_command(self) -> str:
        import os
        import shlex

        words = ["bench", "search", "resume", self.name, "--workers", str(self.workers), "--home", str(self.home)]
        if self.storage is not None and "BENCH_STUDIES" not in os.environ:
            words += ["--storage", str(self.place)]
        return shlex.join(words)


@dataclass(frozen=True)
class _Done:
    """A study when its workers have gone, and whether all is well: something was completed, no final run failed."""

    study: Search
    well: bool


def _finish(done: Sequence[_Done], output: str) -> None:
    """Print studies; the exit code says whether all is well."""
    if output == "json":
        from bench.search.study import describe

        documents = [describe(item.study) for item in done]
        print_json(documents if len(documents) > 1 else documents[0])
    else:
        for item in done:
            _print_study(item.study, output)
    if not all(item.well for item in done):
        raise typer.Exit(RunError.exit_code)


def _is_over(study: Search) -> bool:
    from bench.search.finals import is_over

    return is_over(study)


@app.command("list")
def list_studies(storage: Storage = None, output: Format = "table", home: Home = None) -> None:
    """List the studies of the results folder, or of a storage.

    Example: bench search list
    """
    from bench.paths import home_folder
    from bench.search.storage import places_in
    from bench.search.study import studies_in, summary

    check_format(output)
    rows = [summary(study) for study in studies_in(places_in(storage, home_folder(home)))]
    if output == "json":
        print_json(rows)
        return
    if not rows:
        print_text("There is no study yet.")
        return
    heads = ("study", "model", "method", "params", "objective", "trials", "best")
    cells = [
        [
            row["study"],
            row["model"],
            row["method"],
            ", ".join(row["params"]),
            "TEST SET" if row["objective"] == "test" else row["objective"],
            _counts(row),
            _score(row["best"]),
        ]
        for row in rows
    ]
    _print_grid("studies", heads, cells, numbers=("best",))


@app.command("show")
def show(name: Name, storage: Storage = None, output: Format = "table", home: Home = None) -> None:
    """Show a study: what was asked for, what it cost, its best and all its trials.

    Example: bench search show ast-patchmix-cl-alpha-tau-beta --format json
    """
    check_format(output)
    _print_study(_opened(name, storage, home), output)


@app.command("best")
def best(name: Name, storage: Storage = None, output: Format = "table", home: Home = None) -> None:
    """Show the best trial of a study and its parameters; `bench search resume` trains them on the whole training part.

    Example: bench search best ast-patchmix-cl-alpha-tau-beta
    """
    from bench.search.study import describe_trial

    check_format(output)
    study = _opened(name, storage, home)
    found = study.best
    if found is None:
        raise SpecError(
            f"The study '{name}' has no complete trial yet.", f"`bench search show {name}` shows its trials."
        )
    if output == "json":
        print_json({"study": study.name, "objective": study.request.objective, **describe_trial(found)})
        return
    print_text(f"trial {found.number}: Score {found.value:.2f}, {_judged_on(study)}")
    for key, value in found.params.items():
        print_text(f"{key}: {value}")


@app.command("resume")
def resume(
    name: Name,
    trials: Annotated[int | None, typer.Option(help="Trials in total; more than before extends the study.")] = None,
    workers: Workers = 1,
    storage: Storage = None,
    final_seeds: FinalSeeds = "1-5",
    data: Data = None,
    processes: Annotated[int | None, typer.Option(help="Processes that share a run (default: as before).")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    plugin: Plugins = None,
    output: Format = "table",
    home: Home = None,
    cache: Cache = None,
) -> None:
    """Go on with a study, here or on another machine; what it is was stored with it.

    Examples:
      bench search resume ast-patchmix-cl-alpha-tau-beta
      bench search resume ast-patchmix-cl-alpha-tau-beta --trials 100 --workers 4
    """
    from bench.paths import cache_folder, home_folder
    from bench.search.request import base_spec, check_trials

    check_format(output)
    run = _Run(
        home=home_folder(home),
        storage=storage,
        name=name,
        workers=workers,
        final_seeds=_final_seeds(final_seeds),
        output=output,
    )
    study = _opened(name, storage, home)
    run.check(study.request)
    execution = _execution(study, data, cache_folder(cache), processes, device, plugin)
    target = check_trials(study.request, study.target if trials is None else trials)
    _check_runnable(base_spec(study.request, execution))
    with study.place.only_user():
        study.running_on(execution, target)
        done = run.go_on(study, execution)
    _finish([done], output)


def _execution(
    study: Search, data: str | None, cache: Path, processes: int | None, device: str, plugin: Sequence[Path] | None
) -> dict[str, Any]:
    """Where the runs are done this time: as the last time, but for what is given or is not here."""
    from bench.data.icbhi import find_dataset
    from bench.paths import data_folder
    from bench.recipes import DEMO, choose_device

    known = study.execution
    folder = known["data"]
    if data is None and not find_dataset(Path(folder)) and study.request.identity["dataset"] == DEMO:
        data = DEMO
    if data == DEMO:
        from bench.data.demo import demo_folder

        folder = str(demo_folder(cache).resolve())
    elif data is not None or not find_dataset(Path(folder)):
        folder = str(data_folder(Path(data) if data else None).resolve())
    return {
        **known,
        "data": folder,
        "cache": str(cache.resolve()),
        "device": choose_device(device),
        "processes": known["processes"] if processes is None else processes,
        "plugins": [str(path.resolve()) for path in plugin] if plugin else known["plugins"],
    }


def _check_runnable(spec: RunSpec) -> None:
    from bench.plugins import load_for
    from bench.recipes import check_spec

    load_for(spec)
    check_spec(spec)


@app.command("delete")
def delete(
    name: Name,
    storage: Storage = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    home: Home = None,
) -> None:
    """Delete a study; its runs stay, in their folders and on the board.

    Example: bench search delete ast-patchmix-cl-alpha-tau-beta --yes
    """
    from bench.search.study import delete_study

    study = _opened(name, storage, home)
    if not yes:
        if not sys.stdin.isatty():
            raise SpecError(f"Deleting '{name}' with its {len(study.trials)} trials needs --yes.")
        typer.confirm(f"Delete the study '{name}' with its {len(study.trials)} trials?", abort=True, err=True)
    delete_study(study)
    notice(f"deleted the study {name}; its runs stay")


def _opened(name: str, storage: str | None, home: Path | None) -> Search:
    from bench.paths import home_folder
    from bench.search.storage import Place, check_name
    from bench.search.study import open_study

    return open_study(Place.of(storage, home_folder(home), check_name(name)), name)


# --- Figure 2 ---------------------------------------------------------------------------------------------------


def reproduce_figure2(
    asked: Request,
    only: str | None,
    seeds: str | None,
    objective: str,
    workers: int,
    dry_run: bool,
    output: str,
    home: Path,
) -> None:
    """Search each of the figure's parameters over its grid, the others at the paper's values: a study for each.

    Args:
        asked: What the user asked for; model and method are the figure's.
        only: A pattern of parameter names.
        seeds: Seeds of each point; 1-5 by default, 1 in the demo profile.
        objective: ``held-out`` or ``test``.
        workers: Workers.
        dry_run: Print what would be searched and start nothing.
        output: ``table`` or ``json``.
        home: The results folder.

    Raises:
        BenchError: As `bench search`.
    """
    from bench.recipes import choose_source, parse_seeds, resolve
    from bench.search.request import build_request, check_trials
    from bench.search.space import build_space

    names = [name for name in FIGURE2 if only is None or fnmatchcase(name, only)]
    if not names:
        raise SpecError(f"--only '{only}' matches no parameter of figure2: {suggestion(str(only), FIGURE2)}")
    asked = dataclasses.replace(asked, model="ast", method="patchmix-cl")
    source = choose_source(asked)
    notice(f"profile {source.profile}: {source.reason}")
    chosen = parse_seeds(None, seeds or ("1" if source.profile == "demo" else "1-5"))
    (base,) = resolve(asked, source, [1], notice)
    done = []
    for name in names:
        space = build_space([name], [], _cards(asked), grid=True)
        request = build_request(
            base, space, objective=objective, folds=1, seeds=chosen, sampler="grid", pruner=None, sampler_seed=1
        )
        study = f"figure2-{name}" + ("-test" if objective == "test" else "")
        run = _Run(home=home, storage=None, name=study, workers=workers, final_seeds=[], output=output)
        run.check(request)
        target = check_trials(request, None)
        if dry_run:
            _print_plan(run, request, base, target)
        else:
            done.append(run.start(request, base.execution(), target))
    if done:
        _finish(done, output)


# --- what is printed --------------------------------------------------------------------------------------------


def _objective(objective: str) -> str:
    return "TUNED ON THE TEST SET" if objective == "test" else "held-out training patients"


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _counts(row: Mapping[str, Any]) -> str:
    names = {"complete": "complete", "pruned": "pruned", "fail": "failed", "running": "running", "waiting": "waiting"}
    told = ", ".join(f"{row['counts'][key]} {word}" for key, word in names.items() if row["counts"][key])
    return f"{row['trials']} of {row['target']}" + (f" ({told})" if told else "")


def _print_plan(run: _Run, request: StudyRequest, base: RunSpec, target: int) -> None:
    if run.output == "json":
        document = {"study": run.name, "trials": target, "storage": str(run.place), "request": request.to_json()}
        print_json({**document, "execution": base.execution()})
        return
    facts = {
        "study": run.name,
        "storage": str(run.place),
        "objective": _objective(request.objective),
        "trials": str(target),
        "runs of a trial": str(len(request.seeds) * request.folds),
        "epochs of a run": str(base.epochs),
        "sampler, pruner": f"{request.sampler}, {request.pruner}",
        "workers": str(run.workers),
        **{f"space of {dimension.name}": str(dimension) for dimension in request.space},
    }
    for name, value in facts.items():
        print_text(f"{name}: {value}")


def _print_study(study: Search, output: str) -> None:
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
            _score(trial["value"]),
            "–" if trial["seconds"] is None else f"{trial['seconds']:.1f}",
            trial["run_id"] or "–",
            trial["error"] or trial["pruned"] or "",
        ]
        for trial in document["trials"]
    ]
    _print_grid(
        f"study {study.name}: {_objective(study.request.objective)}", heads, cells, numbers=("Score", "seconds")
    )
    for line in _summary_lines(study, document):
        print_text(line)


def _value(value: Any) -> str:
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _summary_lines(study: Search, document: Mapping[str, Any]) -> list[str]:
    spent, found = document["budget"], document["best"]
    counts = {"complete": spent["complete"], "pruned": spent["pruned"], "failed": spent["fail"]}
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    space = "; ".join(f"{name} {text}" for name, text in spent["space"].items())
    lines = [
        f"Budget: {spent['trials']} of {document['target']} trials ({told}), {spent['gpu_hours']:.2f} GPU hours, "
        f"{spent['cpu_hours']:.2f} CPU hours. Space: {space}.",
    ]
    if found is not None:
        params = ", ".join(f"{name} {_value(value)}" for name, value in found["params"].items())
        lines.append(f"Best: trial {found['number']}, {params}: Score {found['value']:.2f}, {_judged_on(study)}.")
    if document["final"]:
        lines.append("Its final runs are on the board: bench report leaderboard")
    return lines


def _judged_on(study: Search) -> str:
    request = study.request
    if request.objective == "test":
        return "last epoch, on the TEST SET"
    where = f"{request.folds} folds of" if request.folds > 1 else "a fifth of"
    return f"last epoch, on {where} the training patients"


def _print_grid(title: str, heads: Sequence[str], cells: Sequence[Sequence[str]], numbers: Sequence[str]) -> None:
    from leaderboard.forms import Column, console, grid, plain, printed

    columns = [
        Column(head, lambda row: [], number=head in numbers, wrap=head in ("study", "why", "params")) for head in heads
    ]
    rows = [[plain(cell) for cell in row] for row in cells]
    print_text(printed(console(None, sys.stdout.isatty()), [grid(title, columns, rows)]))
