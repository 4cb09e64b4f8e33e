"""Where the data lie that a user's words mean, and which data set they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.core.datasets import DATASETS, DatasetCard
from bench.core.errors import DataError, SpecError
from bench.core.text import echoed
from bench.data.sources import MadeReader, dataset_folder, entries_in, is_held, reader_of

Progress = Callable[[int, int], None]


def locate_data(
    data: Path | str | None, dataset: str | None, cache: Path, *, on_progress: Progress | None = None
) -> tuple[Path, DatasetCard]:
    """Find the folder and the data set that a user's words mean; whether data are there is for their reader to say.

    Args:
        data: The folder that the user named, or the id of a set that is made on the spot; None for the usual place.
        dataset: Id of the data set; None for the one that the folder holds, or else the primary one.
        cache: Cache folder, in which a set is made on the spot.
        on_progress: Called with the number of recordings made, and their number in all.

    Returns:
        The folder, and the data set's card.

    Raises:
        RegistryError: If there is no such data set.
        SpecError: If the two contradict each other.
    """
    card = DATASETS.card(dataset) if dataset else None
    made = made_set(data, card)
    if made is not None:
        reader: MadeReader = reader_of(made.id)
        return reader.make(cache, on_progress=on_progress), made
    primary = DATASETS.primary().card
    folder = dataset_folder(card or primary, data)
    return folder, card or held_set(folder) or primary


def made_set(data: Path | str | None, card: DatasetCard | None) -> DatasetCard | None:
    """The data set that is made on the spot, where the user's words mean one.

    Args:
        data: The folder or the id that the user named.
        card: The data set that the user named.

    Raises:
        SpecError: If ``data`` is the id of one, and ``card`` is another set.
    """
    named = DATASETS.card(str(data)) if str(data) in DATASETS else None
    if named is not None and _is_made(named):
        if card not in (None, named):
            raise SpecError(
                f"--data {echoed(str(data))} makes the data set '{named.id}', but --dataset names '{card.id}'.",
                "Leave one of them out.",
            )
        return named
    return card if card is not None and data is None and _is_made(card) else None


def _is_made(card: DatasetCard) -> bool:
    return isinstance(reader_of(card.id), MadeReader)


def held_set(folder: Path) -> DatasetCard | None:
    """The data set that a folder holds; of several the primary one. None where it holds none.

    Raises:
        DataError: If several read the folder and none of them is the primary one.
    """
    found = [entry.card for entry in entries_in(folder)]
    if len(found) > 1 and not any(card.primary for card in found):
        names = " and ".join(f"'{card.id}'" for card in found)
        raise DataError(f"{folder} is a folder of {names}.", "Say which one is meant with --dataset.")
    return next((card for card in found if card.primary), found[0] if found else None)


def folder_here(dataset: str, known: str, data: str | None, cache: Path) -> str:
    """The folder of the data of something that was begun, possibly on another machine.

    Args:
        dataset: Id of its data set.
        known: The folder with its data then.
        data: The folder that the user names now, or the id of a set that is made on the spot; None for none.
        cache: Cache folder, in which a set is made on the spot.

    Returns:
        The folder of then where the data are there and no other is named; otherwise the one that is meant now.

    Raises:
        BenchError: As :func:`locate_data`.
    """
    if data is None and is_held(dataset, Path(known)):
        return known
    return str(locate_data(data or None, dataset, cache)[0])
