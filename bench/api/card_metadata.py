"""The metadata block of a model card as the Hugging Face Hub reads it: YAML between two lines of dashes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bench.api.card_facts import CardFacts
from bench.core.text import plain
from leaderboard.metrics import rate_names
from leaderboard.tables.sections import section_title

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

TASK_TYPE = "audio-classification"

LIBRARY = "lungbench"

METRICS = {
    "sp": ("specificity", "Sp"),
    "se": ("sensitivity", "Se"),
    "as": ("average-score", "AS"),
    "hs": ("harmonic-score", "HS"),
    "score": ("score", "Score"),
}
"""By rate, the metric's type in the metadata and its name."""


def metadata_block(run: CardFacts) -> str:
    """The metadata of a card with the lines of dashes around it.

    Results have one entry for each tested part; each metric says its selection rule and what a hit is.
    """
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        language=None,
        library_name=LIBRARY,
        pipeline_tag=TASK_TYPE,
        license="other",
        # Terms follow from those of the data and of the weights that the training began with: the text says them.
        license_name="see-licences-in-the-card",
        tags=_tags(run),
        datasets=None if run.simulated else [plain(run.judged.dataset)],
        base_model=_base_model(run),
        metrics=list(dict.fromkeys(METRICS[name][0] for name in rate_names(run.judged.task.score))),
        model_name=run.name,
        eval_results=list(_results(run)),
    )
    return f"---\n{data.to_yaml()}\n---\n"


def _tags(run: CardFacts) -> list[str]:
    states = {
        "simulated-data": run.simulated,
        "partial-data": bool(run.document["partial"]),
        "demonstration": run.document["profile"] == "demo",
    }
    own = [plain(run.spec[name]) for name in ("model", "method")]
    return [
        LIBRARY,
        TASK_TYPE,
        "respiratory-sound-classification",
        "lung-sounds",
        *own,
        *(tag for tag, holds in states.items() if holds),
    ]


def _base_model(run: CardFacts) -> str | None:
    """The repository of the Hub that the pretrained weights are of; None where they are of none."""
    known = run.pretrained
    location = known.location if known else run.start
    scheme, _, name = location.partition(":")
    if scheme != "hf" or name.count("/") < 2:
        return None
    return "/".join(name.split("/")[:2])


def _results(run: CardFacts) -> Iterator[EvalResult]:
    from huggingface_hub import EvalResult

    task = run.judged.task
    state = plain(section_title(run.run))
    for one in run.scores:
        for judged in task.sensitivities:
            metrics: Any = one.metrics[judged]
            for name in rate_names(task.score):
                kind, word = METRICS[name]
                yield EvalResult(
                    task_type=TASK_TYPE,
                    task_name=plain(task.title),
                    dataset_type=plain(run.judged.dataset),
                    dataset_name=state
                    if one.part.id == task.main.id
                    else plain(f"{run.judged.title}, {one.part.title}"),
                    dataset_config=task.id,
                    dataset_split=one.part.id,
                    metric_type=kind,
                    metric_name=f"{word}, {judged} ({one.rule})",
                    metric_config=f"{judged} {one.rule}",
                    metric_value=round(float(metrics[name]), 4),
                )
