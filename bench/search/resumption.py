"""Going on with a study, here or on another machine: where and how its runs are done this time."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from baselines.weights import locate
from bench.core.errors import SpecError
from bench.core.paths import cache_folder
from bench.core.text import counted_noun
from bench.data.location import folder_here
from bench.experiment.devices import choose_device
from bench.search.claims import retry_failed
from bench.search.planning import checked_give_up_after, final_seeds_of
from bench.search.session import SearchSession, WorkedOn
from bench.search.study import Search, Settings, cards_of

logger = logging.getLogger(__name__)


def settings_now(study: Search, final_seeds: str | None, give_up_after: int | None) -> Settings:
    """How a study stops and ends this time: as before, but for what is given; raises SpecError for what cannot be."""
    known = study.settings
    return Settings(
        known.final_seeds if final_seeds is None else final_seeds_of(final_seeds),
        known.give_up_after if give_up_after is None else checked_give_up_after(give_up_after),
    )


def go_on(study: Search, session: SearchSession, execution: Mapping[str, Any], target: int, *, retry: bool) -> WorkedOn:
    """Check a study once more and work on it.

    Args:
        study: The study.
        session: How it is worked on.
        execution: Execution fields of its runs.
        target: Trials that it shall have in total.
        retry: Whether trials that failed are done again.

    Raises:
        BenchError: As :meth:`SearchSession.check` and :meth:`SearchSession.go_on`.
    """
    session.check(study.request, execution)
    with session.place.only_user():
        study.running_on(execution, target, session.settings)
        if retry:
            logger.info(f"{counted_noun(retry_failed(study), 'failed trial')} will be done again")
        return session.go_on(study, execution)


def execution_here(
    study: Search,
    *,
    data: str | None,
    cache: Path | None,
    processes: int | None,
    device: str,
    plugins: Sequence[str],
) -> dict[str, Any]:
    """Execution fields of a study's runs this time: as the last time, but for what is given or is not here.

    Args:
        study: The study.
        data: Folder of the data, or ``demo``; None for the one of the last time, or the usual one.
        cache: Cache folder; None for the one of the last time, or the usual one.
        processes: Processes that share a run; None for as many as the last time.
        device: ``auto``, ``cpu`` or ``cuda``.
        plugins: Plug-in files that may be run; they are loaded already.

    Raises:
        BenchError: If the data cannot be made, or the pretrained weights are not on this machine.
    """
    known = study.execution
    place = _cache(study, cache)
    return {
        **known,
        "data": str(Path(folder_here(study.request.identity["dataset"], known["data"], data, place)).resolve()),
        "cache": str(place.resolve()),
        "device": choose_device(device),
        "processes": known["processes"] if processes is None else processes,
        "plugins": list(plugins),
        "weights": _weights(study, known["weights"], place),
    }


def _cache(study: Search, cache: Path | None) -> Path:
    """The cache folder: the one that is given, that of the last time where it is here, or the usual one."""
    known = Path(study.execution["cache"])
    return cache_folder(known if cache is None and known.is_dir() else cache)


def _weights(study: Search, path: str | None, cache: Path) -> str | None:
    """The pretrained weights of a study on this machine; whether they are the study's own is checked as for a run."""
    if path is None or Path(path).is_file():
        return path
    card, pretrain = cards_of(study.request)["model"], study.request.identity["pretrain"]
    found = locate(card, pretrain, cache) if pretrain in card.weights else None
    if found is None:
        raise SpecError(
            f"The pretrained weights of the study '{study.name}' ({path}) are not on this machine.",
            "Put the same file there.",
        )
    return str(found.path)
