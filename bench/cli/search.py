"""``bench search`` and ``bench search resume``: begin a study or go on with one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from bench.cli import search_studies
from bench.cli.consent import asked_on_terminal
from bench.cli.launch_options import Account, Gpus, Launcher, Partition, Qos, Scheduler, Slurm, Time, launch_options_of
from bench.cli.options import (
    AllowPartial,
    Cache,
    Data,
    Dataset,
    Device,
    DryRun,
    Format,
    FrontEnd,
    Home,
    Method,
    Model,
    Plugins,
    Precision,
    Profile,
    Settings,
    Storage,
    Study,
    Task,
)
from bench.cli.output import check_format
from bench.cli.run_options import Epochs, Pretrain, Processes, System, Tracker, request_of
from bench.cli.search_options import (
    FinalSeeds,
    Folds,
    GiveUpAfter,
    MoreTrials,
    Objective,
    OtherFinalSeeds,
    OtherGiveUpAfter,
    OtherProcesses,
    Params,
    Pruner,
    RetryFailed,
    Sampler,
    SamplerSeed,
    SeedsPerTrial,
    Spaces,
    StudyName,
    Trials,
    Workers,
    search_options,
)
from bench.cli.search_output import finish, print_planned

EXAMPLE = "bench search --model ast --method patchmix-cl --param alpha,tau,beta --trials 60"

app = typer.Typer(
    short_help="Search hyper-parameters with Optuna, without looking at the test set.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def register(parent: typer.Typer) -> None:
    """Add the group."""
    search_studies.register(app)
    parent.add_typer(app, name="search")


@app.callback(invoke_without_command=True)
def search(
    context: typer.Context,
    model: Model = None,
    method: Method = None,
    system: System = None,
    param: Params = None,
    trials: Trials = None,
    study: StudyName = None,
    space: Spaces = None,
    workers: Workers = 1,
    launcher: Launcher = "local",
    scheduler: Scheduler = None,
    partition: Partition = None,
    account: Account = None,
    qos: Qos = None,
    gpus: Gpus = None,
    time: Time = None,
    slurm: Slurm = None,
    storage: Storage = None,
    sampler: Sampler = "auto",
    pruner: Pruner = None,
    seeds_per_trial: SeedsPerTrial = 1,
    folds: Folds = 1,
    objective: Objective = "held-out",
    final_seeds: FinalSeeds = "1-5",
    give_up_after: GiveUpAfter = 5,
    sampler_seed: SamplerSeed = 1,
    pretrain: Pretrain = None,
    frontend: FrontEnd = None,
    settings: Settings = None,
    epochs: Epochs = None,
    data: Data = None,
    dataset: Dataset = None,
    task: Task = None,
    profile: Profile = "auto",
    processes: Processes = None,
    device: Device = "auto",
    precision: Precision = "auto",
    tracker: Tracker = None,
    allow_partial: AllowPartial = False,
    plugin: Plugins = None,
    dry_run: DryRun = False,
    output: Format = "table",
    home: Home = None,
    cache: Cache = None,
) -> None:
    """Search hyper-parameters on held-out training patients, then train the best and look at the test set once.

    The same command goes on with its study; trials of workers that were killed are taken up again.

    Examples:
      bench search --model ast --method patchmix-cl --param alpha,tau,beta --trials 60
      bench search --model cnn6 --method ce --param lr,weight_decay --space lr=1e-5..1e-2:log --trials 40 --workers 4
      bench search --model cnn6 --method ce --dataset sprsound --task event-2 --param lr --trials 20
      bench search --system patchmix-cl --param tau --launcher slurm --gpus a100 --time 8:00:00 --workers 16
      bench search list
      bench search resume ast-patchmix-cl-alpha-tau-beta --trials 100
    """
    if context.invoked_subcommand is None:
        _begin(context.params)


def _begin(given: Mapping[str, Any]) -> None:
    """Make or open the study that was asked for, and work on it."""
    from bench.api.searches import plan_search, start_search

    output = given["output"]
    check_format(output)
    planned = plan_search(
        request_of(given, EXAMPLE),
        search_options(given),
        home=given["home"],
        storage=given["storage"],
        workers=given["workers"],
        launch=launch_options_of(given),
    )
    if given["dry_run"]:
        print_planned([planned], output)
    else:
        finish([start_search(planned)], output)


@app.command("resume")
def resume(
    context: typer.Context,
    name: Study,
    trials: MoreTrials = None,
    workers: Workers = 1,
    launcher: Launcher = "local",
    scheduler: Scheduler = None,
    partition: Partition = None,
    account: Account = None,
    qos: Qos = None,
    gpus: Gpus = None,
    time: Time = None,
    slurm: Slurm = None,
    storage: Storage = None,
    retry_failed: RetryFailed = False,
    final_seeds: OtherFinalSeeds = None,
    give_up_after: OtherGiveUpAfter = None,
    data: Data = None,
    processes: OtherProcesses = None,
    device: Device = "auto",
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
    from bench.api.searches import resume_search

    check_format(output)
    done = resume_search(
        name,
        asked_on_terminal(output),
        trials=trials,
        workers=workers,
        launch=launch_options_of(context.params),
        storage=storage,
        retry_failed=retry_failed,
        final_seeds=final_seeds,
        give_up_after=give_up_after,
        data=data,
        processes=processes,
        device=device,
        plugins=plugin,
        home=home,
        cache=cache,
    )
    finish([done], output)
