"""What a search adds to its trials: a trial claimed, signed and told, against Optuna alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.core.timing import Body
from benchmarks.runner import Benchmark, Case, Setting

TRIALS, QUICK_TRIALS = 40, 10


def search_case(setting: Setting, folder: Path) -> Case:
    """Trials of a study in a journal file whose objective costs nothing."""
    trials = QUICK_TRIALS if setting.quick else TRIALS

    def project() -> Body:
        search = _study(folder / "ours")

        def do_trials() -> None:
            from optuna.trial import TrialState

            from bench.search.claims import claim

            for _ in range(trials):
                taken = claim(search)
                assert taken is not None, "the study has room for more trials than are made"
                taken.end(TrialState.COMPLETE, 50.0, {"scores": [50.0]})

        return do_trials

    def plain() -> Body:
        return _plain_trials(folder / "plain", trials)

    return Case(ways={"": project}, reference=plain, work=trials)


def _study(home: Path) -> Any:
    import baselines
    import methods
    from bench.data.frontends import FRONTENDS
    from bench.engine.made_up import made_up_spec
    from bench.search.request import build_request
    from bench.search.space import build_space
    from bench.search.storage import Place
    from bench.search.study import make_study

    model, method = baselines.MODELS.card("ast"), methods.METHODS.card("patchmix-cl")
    cards = {"model": model, "method": method, "frontend": FRONTENDS.card(model.frontend)}
    base = made_up_spec("ast", "patchmix-cl")
    request = build_request(
        base,
        build_space(["alpha", "tau"], (), cards, grid=False),
        objective="held-out",
        folds=1,
        seeds=[1],
        sampler="random",
        pruner="none",
        sampler_seed=1,
    )
    return make_study(Place.of(None, home, "study"), "study", request, base.execution(), 1_000_000)


def _plain_trials(folder: Path, trials: int) -> Body:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    folder.mkdir()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(folder / "journal.log"))),
        sampler=optuna.samplers.RandomSampler(seed=1),
        direction="maximize",
    )

    def do_trials() -> None:
        for _ in range(trials):
            trial = study.ask()
            trial.suggest_float("alpha", 0.1, 10.0, log=True)
            trial.suggest_float("tau", 0.01, 1.0, log=True)
            study.tell(trial, 50.0)

    return do_trials


BENCHMARKS = [
    Benchmark(
        name="search/trials",
        unit="trials",
        about=f"{TRIALS} trials ({QUICK_TRIALS} with --quick) of a study in a journal file, claimed and told by the "
        "search, with an objective that costs nothing.",
        reference="Optuna's ask and tell on a journal file: no claims that survive a dead worker, no checks.",
        case=search_case,
    )
]
