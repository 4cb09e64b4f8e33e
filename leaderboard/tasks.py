"""What a result was judged on: the task of its data set, as its card has it or as the result itself says.

A result of a registered data set follows the card. A result of a set that is not registered here (another program's
plug-in) is still readable, since a result says what its classes are; it is never official.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.core.datasets import DATASETS, FOUR_CLASSES, DatasetCard, TaskCard, TestPart

OFFICIAL_SPLIT = "official"

JUDGING = ("classes", "shared", "score", "ranking", "parts")
"""What of a task decides how its results are judged, by its names in a result."""


@dataclass(frozen=True)
class JudgedTask:
    """A task of a data set, as a result names it.

    Attributes:
        dataset: Id of the data set.
        title: Name of the data set in print.
        task: What is judged.
        simulated: Whether the data were made by a program.
        card: Card of the data set; None where it is not registered here.
    """

    dataset: str
    title: str
    task: TaskCard
    simulated: bool = False
    card: DatasetCard | None = None

    def is_official(self, judged_set: str | None) -> bool:
        """Whether a hash of judged cycles is that of the complete set with its official labels."""
        return judged_set in self.task.judged_sets

    @property
    def is_pinned(self) -> bool:
        """Whether it is known which cycles are the official ones."""
        return bool(self.task.judged_sets)


def judged_task(spec: Mapping[str, Any], told: Mapping[str, Any] | None = None) -> JudgedTask:
    """The task that a result was judged on.

    Args:
        spec: Identity fields of the result: ``dataset``, and ``task`` where it is not the first one.
        told: What the result itself says of its task (:func:`task_document`), for a set that is not registered here, or
            that a plug-in of another version has registered, in which the task was another one.
    """
    dataset, name = str(spec["dataset"]), str(spec.get("task", FOUR_CLASSES.id))
    # Held-out training patients are judged as one part, whatever the official test parts are.
    is_official = spec.get("split", OFFICIAL_SPLIT) == OFFICIAL_SPLIT
    if dataset in DATASETS:
        entry = DATASETS.get(dataset)
        card = entry.card
        for task in card.tasks:
            asked = task if is_official else task.main_alone
            if task.id == name and (entry.version is None or told is None or _is_described(asked, told)):
                return JudgedTask(dataset, card.title, asked, card.simulated, card)
    if told is None:
        return JudgedTask(dataset, dataset, FOUR_CLASSES)
    return JudgedTask(
        dataset, _title_of_unregistered(dataset, str(told["dataset"])), task_from(told), bool(told["simulated"])
    )


def _title_of_unregistered(dataset: str, title: str) -> str:
    """The name in print that a result gives its data set, with the id where a registered set is called the same."""
    return f"{title} ({dataset})" if any(entry.card.title == title for entry in DATASETS) else title


def _is_described(task: TaskCard, told: Mapping[str, Any]) -> bool:
    """Whether a result was judged as a task is judged."""
    described = described_task("", task, simulated=False)
    return all(told[name] == described[name] for name in JUDGING)


def task_document(card: DatasetCard, task: TaskCard) -> dict[str, Any] | None:
    """What a result says of its task, to be readable where the data set is not registered.

    Returns:
        A JSON object; None for a task of the four classes of respiratory cycles, which results say nothing of.
    """
    return None if is_first_task(task) else described_task(card.title, task, simulated=card.simulated)


def described_task(title: str, task: TaskCard, *, simulated: bool) -> dict[str, Any]:
    """Describe a task in full, as :func:`task_from` reads it.

    Args:
        title: Name of the data set in print.
        task: What is judged.
        simulated: Whether the data were made by a program.

    Returns:
        A JSON object.
    """
    return {
        "id": task.id,
        "title": task.title,
        "dataset": title,
        "simulated": simulated,
        "unit": task.unit,
        "classes": list(task.classes),
        "shared": list(task.shared),
        "score": task.score,
        "ranking": task.ranking,
        "parts": [{"id": part.id, "title": part.title, "patients_seen": part.patients_seen} for part in task.parts],
    }


def is_first_task(task: TaskCard) -> bool:
    """Whether a task is judged as the four classes of respiratory cycles are."""
    return (task.id, task.classes, task.shared, task.score, task.ranking, len(task.parts)) == (
        FOUR_CLASSES.id,
        FOUR_CLASSES.classes,
        FOUR_CLASSES.shared,
        FOUR_CLASSES.score,
        FOUR_CLASSES.ranking,
        1,
    )


def task_from(told: Mapping[str, Any]) -> TaskCard:
    """The task that a result itself describes; raises RegistryError if it cannot be one."""
    return TaskCard(
        id=told["id"],
        title=told["title"],
        classes=tuple(told["classes"]),
        unit=told["unit"],
        parts=tuple(
            TestPart(id=part["id"], title=part["title"], patients_seen=part["patients_seen"]) for part in told["parts"]
        ),
        score=told["score"],
        ranking=told["ranking"],
        shared=tuple(told["shared"]),
    )
