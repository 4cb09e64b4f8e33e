"""The tested cycles that predictions from outside must answer, known from annotation files or from a run on the board.

Nothing of a real data set is part of this package but counts and hashes, by which both are checked: the cycles of a
complete set are the official ones if their hash is (:attr:`bench.core.datasets.TaskCard.judged_sets`), and only then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.core.datasets import DATASETS, TRAIN, DatasetCard, TaskCard
from bench.core.errors import DataError
from bench.core.text import counted_noun, plural
from bench.data.dataset import Recording
from bench.data.faults import Fault
from bench.data.sources import AnswerReader, entries_in, how_to_complete, load_dataset, missing_words, reader_of
from leaderboard.results.official_part import OfficialPart
from leaderboard.results.predictions import CycleSet
from leaderboard.store.board_rows import BoardRun
from leaderboard.store.store import Store
from leaderboard.tasks import judged_task

SHOWN = 3
"""Cycles or patients that a refusal names."""


class NotOfficialError(DataError):
    """The annotations of a complete set are other than the official ones.

    Attributes:
        cycles: The tested cycles, as the annotations tell them; None of an error that came from another process.
    """

    cycles: CycleSet | None = None


def not_official_error(folder: Path, task: TaskCard, cycles: CycleSet, told: str, hint: str | None) -> NotOfficialError:
    """The error for annotations of other tested cycles or labels.

    Args:
        folder: The data folder.
        task: What is judged.
        cycles: The tested cycles, as the annotations tell them.
        told: What differs, as far as that is known.
        hint: What to do.
    """
    counts = Counter(cycles.labels)
    per_class = ", ".join(f"{counts[label]:,} {name}" for label, name in enumerate(task.classes))
    error = NotOfficialError(
        f"The annotations below {folder} are not the official ones: {len(cycles):,} test {task.unit_word}s, "
        f"{per_class}; {told}.",
        hint,
    )
    error.cycles = cycles
    return error


def known_answers(
    card: DatasetCard, task: TaskCard, folder: Path, store: Store, *, named: bool, allow_partial: bool = False
) -> OfficialPart:
    """The tested cycles of the data in a folder; without data there, those of a full run on the board.

    Args:
        card: The data set.
        task: One of its tasks.
        folder: The data folder.
        store: The board. Where a run on it knows the official labels, an error names the cycles that differ.
        named: Whether the user named the folder, so that nothing else will do.
        allow_partial: Take the recordings that are there (those with audio, as a run does), marked as partial.

    Raises:
        DataError: If the cycles are not known, or the data are incomplete or broken.
    """
    if entries_in(folder):
        try:
            return answers_in(folder, card, task, allow_partial=allow_partial)
        except NotOfficialError as error:
            known = answers_of_board(card, task, store)
            if known is None or error.cycles is None:
                raise
            told = differing_cycles(error.cycles, known.cycles, task.classes)
            raise not_official_error(folder, task, error.cycles, told, error.hint) from None
    words, simulated = f"{card.short_title} annotations below {folder}", DATASETS.simulated().id
    if named:
        raise DataError(
            f"No {words}.",
            f"Name the folder with the annotation files (audio is not needed), or use --data {simulated}.",
        )
    part = answers_of_board(card, task, store)
    if part is None:
        raise DataError(
            f"The official test {task.unit_word}s are not known here: there are no {words}, and no full run on the "
            f"board {store}.",
            f"{card.obtain} For this, audio is not needed. Or try it on simulated data with --data {simulated}.",
        )
    return part


def answers_in(folder: Path, card: DatasetCard, task: TaskCard, *, allow_partial: bool = False) -> OfficialPart:
    """The tested cycles of the data below a folder: from annotation files alone, where the set's reader can.

    Args:
        folder: The data folder.
        card: The data set.
        task: One of its tasks.
        allow_partial: Take the recordings that are there, marked as partial.

    Raises:
        NotOfficialError: If the set is complete, and its tested cycles are not the official ones.
        DataError: If the data are incomplete or broken.
    """
    reader = reader_of(card.id)
    if isinstance(reader, AnswerReader):
        return reader.test_part(folder, task, allow_partial=allow_partial)
    dataset = load_dataset(folder, card.id, task.id, allow_partial=allow_partial)
    train = frozenset(recording.patient for recording in dataset.recordings if recording.split == TRAIN)
    return part_of(card, task, folder, dataset.recordings, train, dataset.partial)


def answers_of_board(card: DatasetCard, task: TaskCard, store: Store) -> OfficialPart | None:
    """The official test cycles as a run on the board was judged on them; None where there is none.

    A run's word for it does not count: the hash of its cycles and labels must be the official one.
    """
    for run in store.runs():
        if run.metrics and _is_official(run, card, task):
            cycles, _ = store.predictions(run.run_id, next(iter(run.metrics)))
            source = f"run {run.run_id} on the board"
            return OfficialPart(card.id, None, cycles, _train_patients(card, task, cycles), source, task)
    return None


def _is_official(run: BoardRun, card: DatasetCard, task: TaskCard) -> bool:
    judged = judged_task(run.spec)
    is_whole = run.partial is None and run.spec["split"] == "official"
    return is_whole and judged.card == card and judged.task.id == task.id and judged.is_official(run.judged_set)


def _train_patients(card: DatasetCard, task: TaskCard, cycles: CycleSet) -> frozenset[str]:
    """The patients of the training part, as the pinned patients of the set tell: all that are not tested alone."""
    unseen = {part.id for part in task.parts if not part.patients_seen}
    parts = cycles.parts or (task.main.id,) * len(cycles)
    tested = {patient for patient, part in zip(cycles.patients, parts, strict=True) if part in unseen}
    return ((card.patients or frozenset()) - tested) | card.shared_patients


# --- what readers of any data set need ---------------------------------------------------------------------------


def part_of(
    card: DatasetCard,
    task: TaskCard,
    folder: Path,
    recordings: Iterable[Recording],
    train_patients: frozenset[str],
    partial: str | None,
) -> OfficialPart:
    """The tested cycles of recordings.

    Args:
        card: The data set.
        task: One of its tasks.
        folder: The data folder.
        recordings: Recordings, labelled for the task; those of the training part do not count.
        train_patients: Patients with recordings in the training part.
        partial: How much of the set it is, in words; None for all of it.

    Raises:
        DataError: If there are no tested cycles.
    """
    rows = [
        ((cycle.recording, cycle.index), cycle.label, recording.patient, recording.device, recording.split)
        for recording in recordings
        if recording.split in {part.id for part in task.parts}
        for cycle in recording.cycles
    ]
    if not rows:
        words = f"of the data below {folder} holds no {task.unit_word}"
        raise DataError(f"The test part {words}.", "Add its annotation files.")
    keys, labels, patients, devices, parts = zip(*rows, strict=True)
    cycles = CycleSet(keys, labels, patients, devices, parts if len(task.parts) > 1 else ())
    source = "the simulated set" if card.simulated else f"the {card.short_title} annotations"
    return OfficialPart(card.id, partial, cycles, train_patients, f"{source}, {partial}" if partial else source, task)


def judged_recordings(
    card: DatasetCard,
    folder: Path,
    annotated: tuple[Recording, ...],
    expected: int,
    *,
    allow_partial: bool,
) -> tuple[tuple[Recording, ...], str | None]:
    """The recordings whose cycles are asked for, and how much of the set that is, where not all.

    Args:
        card: The data set.
        folder: The data folder.
        annotated: All recordings with annotations.
        expected: Number of recordings of the complete set.
        allow_partial: Take the recordings that are there: those with audio, as a run does, where there are any.

    Raises:
        DataError: If recordings are missing that must not.
    """
    present = tuple(recording for recording in annotated if recording.audio is not None)
    recordings = (present or annotated) if allow_partial else annotated
    here = len(recordings)
    if here == expected:
        return recordings, None
    if not allow_partial:
        raise DataError(
            f"{missing_words(here, expected, 'annotation file')} below {folder}."
            if here < expected
            else f"{here} annotation files are below {folder}, but the set has {expected}.",
            f"{how_to_complete(card)}, or add --allow-partial to be judged on what is there, marked as partial.",
        )
    return recordings, f"partial ({here} of {expected})"


def refuse_faults(folder: Path, faults: Sequence[Fault], hint: str) -> None:
    """Refuse annotations with faults that could change cycles, labels or parts.

    Args:
        folder: The data folder.
        faults: These faults.
        hint: What to do.

    Raises:
        DataError: If there are any; the first is named.
    """
    if faults:
        more = f" ({len(faults)} faults in all)" if len(faults) > 1 else ""
        raise DataError(f"The data below {folder} cannot be used: {faults[0]}{more}.", hint)


def differing_cycles(cycles: CycleSet, official: CycleSet, classes: Sequence[str]) -> str:
    """The first cycles whose label differs, or that only one of two sets has, in words.

    Args:
        cycles: The one set.
        official: The official set.
        classes: Names of the classes.
    """
    ours, theirs = (dict(zip(one.keys, one.labels, strict=True)) for one in (cycles, official))
    differing = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    words = [
        f"{key[0]} cycle {key[1]} is {_class_name(ours.get(key), classes)}, not {_class_name(theirs.get(key), classes)}"
        for key in differing
    ]
    return differences(words, "cycle") if words else "patients or devices differ"


def _class_name(label: int | None, classes: Sequence[str]) -> str:
    return "absent" if label is None else classes[label]


def differences(words: Sequence[str], noun: str) -> str:
    """Say how many things differ, and name the first few: ``5 cycles differ: …; …; …; and 2 more``.

    Args:
        words: What differs, a piece of text each.
        noun: What they are.
    """
    more = f"; and {len(words) - SHOWN:,} more" if len(words) > SHOWN else ""
    return f"{counted_noun(len(words), f'{noun} differs', f'{plural(noun)} differ')}: {'; '.join(words[:SHOWN])}{more}"
