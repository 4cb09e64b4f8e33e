"""Composite systems and ensembles: several runs as one system, scored by their combined predictions."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.api.calls import api_call, resumable
from bench.api.requests import SIMULATED, FilePath, joined_settings, say_source
from bench.core.cards import CompositeCard, RunnableCard
from bench.core.errors import BenchError, InterruptedRunError, LostProcessError, RunError, SpecError
from bench.core.paths import cache_folder, expanded, home_folder

if TYPE_CHECKING:
    from bench.api.cycle_predictions import CyclePredictions
    from bench.experiment.composites import Composite
    from leaderboard.results.run_result import RunResult

logger = logging.getLogger(__name__)


class CombinedRun:
    """A composite system that was run, as :func:`bench.run_composite` returns it, or an ensemble.

    Args:
        folder: Its run folder.
        result: Its result with the combined predictions.
        new: Whether it was made by this call.

    Attributes:
        folder: Its run folder.
        document: Its ``result.json``.
        new: Whether it was made by this call, and was not there already.
    """

    def __init__(self, folder: Path, result: RunResult, *, new: bool = True) -> None:
        self.folder, self.new, self._result = folder, new, result
        self.document: dict[str, Any] = dict(result.document)

    def __repr__(self) -> str:
        spec = self.document["spec"]
        return f"<{self.document['kind']} {self.id}: {spec['model']} · {spec['method']} · seed {spec['seed']}>"

    @property
    def id(self) -> str:
        """Its id, 16 hexadecimal characters: a hash of the combination and the ids of its parts."""
        return str(self.document["run_id"])

    @property
    def metrics(self) -> dict[str, Any]:
        """Metrics by selection rule, then ``4class`` or ``2class``; a rule that not all parts have has None."""
        return dict(self.document["metrics"])

    @property
    def parts(self) -> dict[str, str]:
        """Run ids of its parts, by name; in an ensemble the names are the ids."""
        return {part["name"]: part["run_id"] for part in self.document["parts"]}

    @cached_property
    def predictions(self) -> dict[str, CyclePredictions]:
        """The test cycles with their combined scores, by selection rule."""
        from bench.api.cycle_predictions import CyclePredictions
        from leaderboard.results.schema import task_of

        judged = self._result.cycles
        assert judged is not None
        classes = task_of(self.document).task.classes
        return {rule: CyclePredictions.of(judged, scores, classes) for rule, scores in self._result.scores.items()}

    def to_json(self) -> dict[str, Any]:
        """The result as the commands print it with ``--format json``."""
        from leaderboard.results.schema import printed

        return printed(self.document, self.folder)


@api_call
@resumable
def run_composite(
    system: FilePath | RunnableCard,
    *,
    data: FilePath | None = None,
    dataset: str | None = None,
    task: str | None = None,
    seed: int = 1,
    pretrain: str | None = None,
    settings: Mapping[str, Any] | None = None,
    profile: str = "auto",
    processes: int = 1,
    device: str = "auto",
    precision: str = "auto",
    allow_partial: bool = False,
    rerun: bool = False,
    home: FilePath | None = None,
    cache: FilePath | None = None,
    plugins: FilePath | Sequence[FilePath] = (),
    **options: Any,
) -> CombinedRun:
    """Run the parts of a composite system, combine their predictions, and store the result on the board.

    Parts that are finished are not run twice, and the same call goes on where an interrupted one stopped.

    Args:
        system: Id of a registered system, a TOML file, or a card.
        data: Folder of the data, or ``demo`` for the simulated set (default: ``BENCH_DATA``, or the data set's own).
        dataset: Id of the data set (default: the one that the folder holds).
        task: Id of the task (default: the first of the data set).
        seed: Seed of all parts.
        pretrain: ``none`` trains all parts from scratch (default: what each part says).
        settings: Fields of the spec and options by name, for all parts; ``PART.name`` for one.
        profile: ``auto``, ``paper`` or ``demo``: which recipes the specs begin with.
        processes: Processes (GPUs) that share each run.
        device: ``auto``, ``cpu`` or ``cuda``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        allow_partial: Run although recordings are missing; marked as partial.
        rerun: Run all parts again although their results exist.
        home: Results folder (default: ``BENCH_HOME`` or ./results).
        cache: Cache folder (default: ``BENCH_CACHE`` or the user's).
        plugins: Files with systems, models, methods, front-ends or data sets of your own.
        **options: More settings by name, for all parts: ``epochs=2``.

    Returns:
        The composite.

    Raises:
        InterruptedRunError: After Ctrl-C; the state is saved, and the same call goes on.
        RunError: If a part failed.
        BenchError: Whatever kept it from starting.
    """
    refuse_for_parts({"pretrain": pretrain})
    files = [plugins] if isinstance(plugins, str | Path) else list(plugins)
    card = _card_of(system, files)
    asked = {
        "data": None if data is None else str(data),
        "dataset": dataset,
        "task": task,
        "pretrain": pretrain,
        "cache": cache_folder(cache),
        "plugins": files,
        "fields": joined_settings(settings, options),
        "profile": profile,
        "processes": processes,
        "device": device,
        "precision": precision,
        "allow_partial": allow_partial,
    }
    [composite] = resolve_composites(card, asked, seed)
    return _run(composite, home_folder(home), rerun=rerun)


OF_PARTS = ("model", "method", "pretrain", "frontend", "init_from", "alpha", "tau", "beta")
"""What a run is asked to be that each part of a composite has by itself."""

FROM_SCRATCH = "none"
"""What ``pretrain`` may be for all parts."""

HINT = "Change the composite: it is a TOML file of your own, or a card in a plug-in."
HINTS = {
    **dict.fromkeys(("alpha", "tau", "beta"), "Write --set PART.NAME=VALUE."),
    "pretrain": "Give --pretrain none to train all parts from scratch, or change the composite.",
}
"""What to do instead of giving them."""


def refuse_for_parts(given: Mapping[str, Any]) -> None:
    """Refuse what each part of a composite has by itself.

    Args:
        given: What is asked for, by name; None where it is not.

    Raises:
        SpecError: At the first of :data:`OF_PARTS` that is given; but ``pretrain`` may be ``none``, for all parts.
    """
    for name in OF_PARTS:
        if given.get(name) is None or (name == "pretrain" and given[name] == FROM_SCRATCH):
            continue
        raise SpecError(
            f"--{name.replace('_', '-')} is given, but each part of a composite has its own.", HINTS.get(name, HINT)
        )


def names_composite(system: str, plugins: FilePath | Sequence[FilePath] = ()) -> bool:
    """Whether a system is a composite of several runs.

    Args:
        system: Its id.
        plugins: Plug-in files that it may be in.

    Raises:
        BenchError: If there is no such system, or a plug-in cannot be loaded.
    """
    from bench.experiment.systems import composite_of, find_system

    files = [plugins] if isinstance(plugins, str | Path) else plugins
    return composite_of(find_system(system, files)) is not None


def _card_of(system: FilePath | RunnableCard, plugins: Sequence[FilePath]) -> RunnableCard:
    if isinstance(system, RunnableCard):
        return system
    return composite_card(system, plugins) if isinstance(system, str) else composite_card_of_file(system)


def composite_card(system: str, plugins: Sequence[FilePath] = ()) -> RunnableCard:
    """The card of a system that is a composite, by its id; a name that ends with ``.toml`` is a file.

    Raises:
        BenchError: If there is no such system or file, or it cannot be read.
    """
    from bench.experiment.composite_files import SUFFIX
    from bench.experiment.systems import composite_of, find_system

    if system.endswith(SUFFIX):
        return composite_card_of_file(system)
    found = find_system(system, plugins)
    if composite_of(found) is None:
        raise SpecError(f"The system '{system}' is a single run, no composite.", f"Use bench.run(system='{system}').")
    return found


def composite_card_of_file(path: FilePath) -> CompositeCard:
    """The card of a composite in a TOML file; raises SpecError if it cannot be read."""
    from bench.experiment.composite_files import read_composite

    return read_composite(expanded(path))


def resolve_composites(
    card: RunnableCard, asked: Mapping[str, Any], seed: int | None = None, seeds: str | None = None
) -> list[Composite]:
    """Complete a composite to its parts' specs for each seed, and say in the log what will be run.

    Args:
        card: The composite, or a system that is one.
        asked: What all parts share, as :func:`bench.experiment.composites.part_requests` takes it; with ``pretrain``
            ``none`` all of them start from untrained weights, or from one another.
        seed: A single seed; 1 where neither is given.
        seeds: Several, as ``1-5`` or ``1,3,7``.

    Raises:
        BenchError: As :func:`bench.experiment.composites.resolve_composite`, and for seeds that cannot be read.
    """
    from bench.experiment.composites import check_card, part_named, part_requests, resolve_composite
    from bench.experiment.recipes import check_request, choose_source
    from bench.experiment.seeds import parse_seeds
    from bench.experiment.systems import composite_of, from_scratch

    chosen = parse_seeds(seed, seeds)
    graph = composite_of(card)
    assert graph is not None
    check_card(graph)
    source = choose_source(next(iter(part_requests(graph, asked).values())))
    in_profile = composite_of(card, source.profile) or graph
    wanted = from_scratch(in_profile) if asked.get("pretrain") == FROM_SCRATCH else in_profile
    for name, request in part_requests(wanted, asked).items():
        with part_named(name):
            check_request(request, source)
    say_source(source)
    if source.simulated:
        logger.info(SIMULATED)
    found = resolve_composite(wanted, asked, source, chosen)
    for one in found:
        parts = ", ".join(f"{part.name} {part.spec.run_id}" for part in one.parts)
        logger.info(f"composite {one.run_id}: {one.name} · {one.combine} of {parts} · seed {one.seed}")
    return found


def run_composites(composites: Sequence[Composite], home: Path | None = None, *, rerun: bool = False) -> list[Any]:
    """Run composites one after the other; one whose part fails does not keep the others from running.

    Returns:
        For each, the document that ``bench run --format json`` prints; of a failed one its id, parts and error.

    Raises:
        BenchError: As :func:`bench.launch.composite.launch_composite`, but for parts that failed.
    """
    folder, documents = home_folder(home), []
    for composite in composites:
        try:
            documents.append(_run(composite, folder, rerun=rerun).to_json())
        except (InterruptedRunError, LostProcessError):
            raise
        except RunError as error:
            logger.warning(f"composite {composite.run_id} failed: {error.message} {error.hint or ''}")
            documents.append(_failed(composite, error))
    return documents


def _run(composite: Composite, home: Path, *, rerun: bool) -> CombinedRun:
    from bench.launch.composite import launch_composite

    launched = launch_composite(composite, home, rerun=rerun)
    return CombinedRun(launched.folder, launched.result)


def _failed(composite: Composite, error: BenchError) -> dict[str, Any]:
    return {
        "run_id": composite.run_id,
        "kind": "composite",
        "status": "failed",
        "error": error.message,
        "spec": {
            "model": composite.name,
            "method": composite.combine,
            "dataset": composite.parts[0].spec.dataset,
            **_other_task(composite),
            "seed": composite.seed,
        },
        "partial": composite.parts[0].spec.partial,
        "parts": composite.entries,
    }


def _other_task(composite: Composite) -> dict[str, str]:
    """The task as a spec's identity has it: named where it is not the default."""
    identity = composite.parts[0].spec.identity()
    return {"task": identity["task"]} if "task" in identity else {}


def check_composites(composites: Sequence[Composite]) -> None:
    """Check all that a start of each part would, without one; composites that differ in the seed are checked once.

    Raises:
        BenchError: As :func:`bench.launch.composite.check_parts`.
    """
    from bench.launch.composite import check_parts

    for composite in composites[:1]:
        check_parts(composite, composite.parts)


def described_composites(composites: Sequence[Composite], home: Path | None = None) -> list[dict[str, Any]]:
    """What ``bench run --dry-run`` prints of composites: their parts with ids, specs, and what is done of each."""
    from bench.launch.composite import part_state

    folder = home_folder(home)
    return [
        {
            "run_id": composite.run_id,
            "kind": "composite",
            "name": composite.name,
            "combine": composite.combine,
            "seed": composite.seed,
            "parts": [
                {**entry, "state": part_state(part, folder), **part.spec.to_json()}
                for entry, part in zip(composite.entries, composite.parts, strict=True)
            ],
        }
        for composite in composites
    ]
