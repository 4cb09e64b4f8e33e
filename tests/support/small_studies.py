"""Studies on the small set, worked on in this process: a trial takes a fraction of a second."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SETTINGS = ("embed_dim=16", "depth=1", "heads=2", "seconds=1.0", "batch=8", "specaug_probability=0.0")


def asked(data: Path, cache: Path, epochs: int = 1, settings: tuple[str, ...] = (), **changes: Any) -> Any:
    """A small request of ``bench run``."""
    from bench.experiment.recipes import Request

    return Request(
        **{"model": "ast", "method": "patchmix-cl", **changes},
        data=str(data),
        cache=cache,
        settings=(*SETTINGS, *settings),
        fields={"epochs": epochs},
    )


def base_spec(data: Path, cache: Path, **changes: Any) -> Any:
    from bench.experiment.recipes import choose_source, resolve

    request = asked(data, cache, **changes)
    return resolve(request, choose_source(request), [1])[0]


def cards(model: str = "ast", method: str = "patchmix-cl") -> dict[str, Any]:
    import baselines
    import methods
    from bench.data.frontends import FRONTENDS

    chosen = baselines.MODELS.card(model)
    return {"model": chosen, "method": methods.METHODS.card(method), "frontend": FRONTENDS.card(chosen.frontend)}


def request_of(base: Any, params: str = "alpha,tau", space: tuple[str, ...] = (), **changes: Any) -> Any:
    from bench.search.request import build_request
    from bench.search.space import build_space

    words = {
        "objective": "held-out",
        "folds": 1,
        "seeds": [1],
        "sampler": "auto",
        "pruner": "none",
        "sampler_seed": 1,
        **changes,
    }
    dimensions = build_space(params.split(","), space, cards(base.model, base.method), grid=words["sampler"] == "grid")
    return build_request(base, dimensions, **words)


def study_of(base: Any, request: Any, home: Path, trials: int, *, name: str = "s", storage: str | None = None) -> Any:
    from bench.search.storage import Place
    from bench.search.study import make_study

    return make_study(Place.of(storage, home, name), name, request, base.execution(), trials)


def work_on(search: Any, home: Path) -> list[dict[str, Any]]:
    """Do what there is to do; gives the events."""
    from bench.search.worker import work

    events: list[dict[str, Any]] = []
    work(search, home, search.execution, lambda event: events.append(json.loads(json.dumps(event))))
    return events


def states(search: Any) -> list[str]:
    return [trial.state.name for trial in search.trials]
