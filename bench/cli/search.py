"""``bench search`` and ``bench search resume``: begin a study or go on with one; the grids of Figure 2."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import search_studies
from bench.cli.consent import agreed_plugins
from bench.cli.output import Plugins, check_format
from bench.cli.search_output import print_plans
from bench.cli.search_run import NO_FINALS, SearchRun, finish
from bench.cli.search_studies import Format, Home, Name, Storage, opened
from bench.core.errors import SpecError
from bench.core.registry import suggestion

if TYPE_CHECKING:
    from bench.core.cards import Card
    from bench.experiment.recipes import Request
    from bench.search.request import StudyRequest
    from bench.search.study import Search

logger = logging.getLogger(__name__)

app = typer.Typer(
    help="Search hyper-parameters with Optuna, without looking at the test set.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _whole(text: str | int) -> int:
    """Read a number of the command line as a whole number in the digits 0 to 9; click's own reader takes others too."""
    from bench.core.text import whole_number

    try:
        return text if isinstance(text, int) else whole_number(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _number(words: str) -> Any:
    """An option that is a whole number."""
    return typer.Option(help=words, parser=_whole, metavar="INTEGER")


Workers = Annotated[int, _number("Processes that work on trials side by side, each with its own device.")]
Data = Annotated[
    str | None, typer.Option(help="Folder of the ICBHI data, or `demo` (default: BENCH_DATA or ./data/icbhi).")
]
Cache = Annotated[Path | None, typer.Option(help="Cache folder (default: BENCH_CACHE or the user's).")]

FIGURE2 = ("alpha", "tau", "beta")


def register(parent: typer.Typer) -> None:
    """Add the group."""
    search_studies.register(app)
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
        int | None, _number("Trials of the study in total, whoever adds them (a grid: all its points).")
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
    seeds_per_trial: Annotated[int, _number("Runs of a trial with seeds 1 to K; their mean counts.")] = 1,
    folds: Annotated[int, _number("1: a fifth of the training patients is held out; K: cross-validation.")] = 1,
    objective: Annotated[
        str, typer.Option(help="held-out, or test, which marks every row as tuned on the test set.")
    ] = "held-out",
    final_seeds: Annotated[
        str, typer.Option(help="Seeds that the best is trained with in the end: 1-5, or none.")
    ] = "1-5",
    give_up_after: Annotated[
        int, _number("Stop after so many trials in a row that failed with the same cause; 0: never.")
    ] = 5,
    sampler_seed: Annotated[int, _number("Seed of the sampler.")] = 1,
    pretrain: Annotated[
        str | None, typer.Option(help="none, imagenet, imagenet+audioset, audioset, file, folder or URL.")
    ] = None,
    frontend: Annotated[str | None, typer.Option(help="Front-end id (default: the model's own).")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value: any field of the spec or option; may be repeated.")
    ] = None,
    epochs: Annotated[int | None, _number("Epochs of every run.")] = None,
    data: Data = None,
    profile: Annotated[str, typer.Option(help="auto, paper or demo.")] = "auto",
    processes: Annotated[int, _number("Processes (GPUs) that share a run.")] = 1,
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
    from bench.core.paths import cache_folder, home_folder
    from bench.experiment.recipes import Request, choose_source, resolve
    from bench.search.request import build_request, check_trials
    from bench.search.space import build_space
    from bench.search.study import Settings

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
    logger.info(f"profile {source.profile}: {source.reason}")
    (base,) = resolve(asked, source, [1])
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
    run = SearchRun(
        home=home_folder(home),
        storage=storage,
        name=study or default_name(request),
        workers=workers,
        settings=Settings(_final_seeds(final_seeds), _give_up_after(give_up_after)),
        output=output,
    )
    target = check_trials(request, trials)
    run.check(request, base.execution())
    if dry_run:
        print_plans([(run, request, base, target)], output)
        return
    finish([run.start(request, base.execution(), target)], output)


def default_name(request: StudyRequest) -> str:
    """A study's name where none is given: model, method and parameters."""
    words = [request.model, request.method, *(dimension.name for dimension in request.space)]
    words += ["test"] if request.objective == "test" else []
    # A name is of ASCII characters, and begins with a letter or a digit.
    return re.sub(r"[^A-Za-z0-9._-]", "-", "-".join(words)).lstrip("._-")[:100] or "study"


def _trial_seeds(number: int) -> list[int]:
    if not 1 <= number <= 100:
        raise SpecError(f"--seeds-per-trial is {number}, but must be 1 to 100.")
    return list(range(1, number + 1))


def _final_seeds(text: str) -> tuple[int, ...]:
    from bench.experiment.recipes import parse_seeds

    return () if text == NO_FINALS else tuple(parse_seeds(None, text))


def _give_up_after(number: int) -> int:
    if not 0 <= number <= 1_000_000:
        raise SpecError(f"--give-up-after is {number}, but must be 0 (never) to 1,000,000.")
    return number


def _cards(asked: Any) -> dict[str, Card]:
    """The cards of a request, by owner; raises SpecError for an unknown id."""
    import baselines
    import methods
    from bench.data.frontends import FRONTENDS
    from bench.experiment.plugins import load_plugins
    from bench.experiment.recipes import check_pair

    load_plugins(asked.plugins)
    model, method = baselines.MODELS.card(asked.model), methods.METHODS.card(asked.method)
    check_pair(model, method)
    return {"model": model, "method": method, "frontend": FRONTENDS.card(asked.frontend or model.frontend)}


@app.command("resume")
def resume(
    name: Name,
    trials: Annotated[int | None, _number("Trials in total; more than before extends the study.")] = None,
    workers: Workers = 1,
    storage: Storage = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Do the trials that failed again, with their parameters.")
    ] = False,
    final_seeds: Annotated[
        str | None,
        typer.Option(help="Seeds that the best is trained with in the end: 1-5, or none (default: as before)."),
    ] = None,
    give_up_after: Annotated[
        int | None, _number("Stop after so many trials in a row that failed alike; 0: never (default: as before).")
    ] = None,
    data: Data = None,
    processes: Annotated[int | None, _number("Processes that share a run (default: as before).")] = None,
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
      bench search resume ast-patchmix-cl-alpha-tau-beta --retry-failed
    """
    from bench.core.paths import home_folder
    from bench.search.claims import retry_failed as enqueue_failed
    from bench.search.request import base_spec, check_trials
    from bench.search.study import Settings

    check_format(output)
    study = opened(name, storage, home)
    if not study.execution:
        raise SpecError(
            f"The study '{name}' was made, but never began.", "Begin it with the `bench search` command again."
        )
    known = study.settings
    run = SearchRun(
        home=home_folder(home),
        storage=storage,
        name=name,
        workers=workers,
        settings=Settings(
            known.final_seeds if final_seeds is None else _final_seeds(final_seeds),
            known.give_up_after if give_up_after is None else _give_up_after(give_up_after),
        ),
        output=output,
    )
    run.check_words(study.request)
    agreed = agreed_plugins(base_spec(study.request, study.execution), plugin, output)
    execution = _execution(study, data, _cache(study, cache), processes, device, agreed)
    target = check_trials(study.request, study.target if trials is None else trials)
    run.check(study.request, execution)
    with study.place.only_user():
        study.running_on(execution, target, run.settings)
        if retry_failed:
            logger.info(f"{enqueue_failed(study)} failed trials will be done again")
        done = run.go_on(study, execution)
    finish([done], output)


def _cache(study: Search, cache: Path | None) -> Path:
    """The cache folder: the one that is given, that of the last time where it is here, or the usual one."""
    from bench.core.paths import cache_folder

    known = Path(study.execution["cache"])
    return cache_folder(known if cache is None and known.is_dir() else cache)


def _execution(
    study: Search, data: str | None, cache: Path, processes: int | None, device: str, plugins: Sequence[str]
) -> dict[str, Any]:
    """Where the runs are done this time: as the last time, but for what is given or is not here."""
    from bench.core.paths import data_folder
    from bench.data.datasets.icbhi.dataset import holds_dataset
    from bench.experiment.devices import choose_device
    from bench.experiment.recipes import DEMO

    known = study.execution
    folder = known["data"]
    if data is None and not holds_dataset(Path(folder)) and study.request.identity["dataset"] == DEMO:
        data = DEMO
    if data == DEMO:
        from bench.data.datasets.simulated.demo import demo_folder

        folder = str(demo_folder(cache).resolve())
    elif data is not None or not holds_dataset(Path(folder)):
        folder = str(data_folder(Path(data) if data else None).resolve())
    return {
        **known,
        "data": folder,
        "cache": str(cache.resolve()),
        "device": choose_device(device),
        "processes": known["processes"] if processes is None else processes,
        "plugins": list(plugins),
        "weights": _weights(study, known["weights"], cache),
    }


def _weights(study: Search, path: str | None, cache: Path) -> str | None:
    """The pretrained weights of a study on this machine; raises SpecError where they are other ones."""
    if path is None or Path(path).is_file():
        return path
    from baselines.weights import locate
    from bench.search.study import cards_of

    identity = study.request.identity
    found = locate(cards_of(study.request)["model"], identity["pretrain"], cache)
    if found is None or found.sha256 != identity["weights_sha256"]:
        raise SpecError(
            f"The pretrained weights of the study '{study.name}' ({path}) are not on this machine.",
            "Put the same file there.",
        )
    return str(found.path)


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
    from bench.core.text import echoed
    from bench.experiment.recipes import choose_source, parse_seeds, resolve
    from bench.search.request import build_request, check_trials
    from bench.search.space import build_space
    from bench.search.study import Settings

    names = [name for name in FIGURE2 if only is None or fnmatchcase(name, only)]
    if not names:
        raise SpecError(f"--only '{echoed(only)}' matches no parameter of figure2: {suggestion(str(only), FIGURE2)}")
    asked = dataclasses.replace(asked, model="ast", method="patchmix-cl")
    source = choose_source(asked)
    logger.info(f"profile {source.profile}: {source.reason}")
    chosen = parse_seeds(None, seeds or ("1" if source.profile == "demo" else "1-5"))
    (base,) = resolve(asked, source, [1])
    done, plans = [], []
    for name in names:
        space = build_space([name], [], _cards(asked), grid=True)
        request = build_request(
            base, space, objective=objective, folds=1, seeds=chosen, sampler="grid", pruner=None, sampler_seed=1
        )
        study = f"figure2-{name}" + ("-test" if objective == "test" else "")
        run = SearchRun(
            home=home, storage=None, name=study, workers=workers, settings=Settings(final_seeds=()), output=output
        )
        run.check(request, base.execution())
        target = check_trials(request, None)
        if dry_run:
            plans.append((run, request, base, target))
        else:
            done.append(run.start(request, base.execution(), target))
    if dry_run:
        print_plans(plans, output)
    else:
        finish(done, output)
