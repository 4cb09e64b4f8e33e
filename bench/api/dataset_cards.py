"""Which data sets there are and what can be judged on them, read from their cards; nothing heavy is imported."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.core.datasets import DATASETS, DatasetCard, TaskCard
from bench.core.registry import RegistryEntry
from bench.data.sources import FetchableReader, MadeReader, VerifiableReader, dataset_folder, is_held, reader_of
from bench.experiment.plugins import load_plugins

NOT_SHOWN = frozenset({"options", "fidelity", "tasks", "recipes", "patients", "published", "reference"})
"""Fields of a card that its document leaves out or says in another form."""


def list_datasets(plugins: Sequence[Path] = ()) -> list[dict[str, Any]]:
    """List the data sets: what they are, and whether they are here.

    Args:
        plugins: Files with data sets of your own.

    Returns:
        The rows that ``bench data list --format json`` prints.

    Raises:
        SpecError: If a file cannot be imported.
    """
    load_plugins(plugins)
    return [_row(entry) for entry in DATASETS]


def _row(entry: RegistryEntry[DatasetCard]) -> dict[str, Any]:
    card = entry.card
    return {
        "id": card.id,
        "title": card.title,
        "tasks": [task.id for task in card.tasks],
        "recordings": card.recordings,
        "licence": card.licence,
        **_found(card),
        "origin": entry.origin,
        "version": entry.version,
    }


def _found(card: DatasetCard) -> dict[str, Any]:
    """Where the data of a set are looked for without ``--data``, and whether they are there."""
    if isinstance(reader_of(card.id), MadeReader):
        return {"folder": None, "found": True}
    folder = dataset_folder(card)
    return {"folder": str(folder), "found": is_held(card.id, folder)}


def show_dataset(dataset: str, plugins: Sequence[Path] = ()) -> dict[str, Any]:
    """Show a data set's card as plain data, with its tasks, and what can be done with it here.

    Args:
        dataset: Id of the data set.
        plugins: Files with data sets of your own.

    Returns:
        The document that ``bench data show ID --format json`` prints.

    Raises:
        RegistryError: If there is no such data set.
        SpecError: If a file cannot be imported.
    """
    load_plugins(plugins)
    entry = DATASETS.get(dataset)
    card, reader = entry.card, reader_of(dataset)
    fields = {field.name: _plain(getattr(card, field.name)) for field in dataclasses.fields(card)}
    return {
        **{name: value for name, value in fields.items() if name not in NOT_SHOWN},
        "tasks": [_task_document(task) for task in card.tasks],
        "recipes": {profile: dict(recipe) for profile, recipe in card.recipes.items()},
        "patients": None if card.patients is None else len(card.patients),
        "published": card.published is not None,
        "reference": card.reference is not None,
        **_found(card),
        "can": {
            "fetch": isinstance(reader, FetchableReader),
            "verify": isinstance(reader, VerifiableReader),
        },
        "origin": entry.origin,
        "version": entry.version,
    }


def _plain(value: Any) -> Any:
    """A value as JSON has it; sets are sorted, so that they stay in one order."""
    if isinstance(value, frozenset):
        return sorted(value)
    return list(value) if isinstance(value, tuple) else value


def _task_document(task: TaskCard) -> dict[str, Any]:
    return {
        "id": task.id,
        "title": task.title,
        "unit": task.unit,
        "classes": list(task.classes),
        "shared": list(task.shared),
        "parts": [dataclasses.asdict(part) for part in task.parts],
        "score": task.score,
        "ranking": task.ranking,
        "counts": {part: list(counts) for part, counts in task.counts.items()},
        "recipes": {profile: dict(recipe) for profile, recipe in task.recipes.items()},
    }
