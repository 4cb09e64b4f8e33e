"""The words of SPRSound's annotations, and the class that each is in each task."""

from __future__ import annotations

EVENT_TYPES = ("Normal", "Rhonchi", "Wheeze", "Stridor", "Coarse Crackle", "Fine Crackle", "Wheeze+Crackle")
"""Types of events as the owners write them, in the order of their classes in the task ``event-7``."""

RECORD_LABELS = ("Normal", "CAS", "DAS", "CAS & DAS", "Poor Quality")
"""Labels of recordings as the owners write them, in the order of their classes in the task ``record-5``: continuous
and discontinuous adventitious sounds, both, and recordings that are too noisy to tell."""

POOR = RECORD_LABELS[-1]

_CONTINUOUS = frozenset({"Rhonchi", "Wheeze", "Stridor", "Wheeze+Crackle"})
_DISCONTINUOUS = frozenset({"Coarse Crackle", "Fine Crackle", "Wheeze+Crackle"})

EVENT_TASKS = ("event-7", "event-2")

_CLASS_OF = {
    "event-7": (0, 1, 2, 3, 4, 5, 6),
    "event-2": (0, 1, 1, 1, 1, 1, 1),
    "record-3": (0, 1, 1, 1, 2),
    "record-5": (0, 1, 2, 3, 4),
}
"""By task, the class of each word, in the order of the words above."""


def class_of(task: str, word: str) -> int:
    """The class of an event's type, or of a recording's label, in a task.

    Args:
        task: Id of the task.
        word: One of the owners' words.
    """
    words = EVENT_TYPES if task in EVENT_TASKS else RECORD_LABELS
    return _CLASS_OF[task][words.index(word)]


def label_of(types: set[str]) -> str:
    """The label of a recording that has events of these types, by the owners' definition."""
    return RECORD_LABELS[bool(types & _CONTINUOUS) + 2 * bool(types & _DISCONTINUOUS)]


def _letters(word: str) -> str:
    return word.casefold().replace("&", "+").replace(" ", "")


_EVENTS = {_letters(word): word for word in EVENT_TYPES}
_RECORDS = {_letters(word): word for word in RECORD_LABELS}


def event_type(word: str) -> str | None:
    """The owners' word for a type of event, however it is spaced or capitalised; None where there is no such type.

    The challenge's own scripts write ``Wheeze & Crackle`` where the annotations have ``Wheeze+Crackle``.
    """
    return _EVENTS.get(_letters(word))


def record_label(word: str) -> str | None:
    """The owners' word for a recording's label, however it is spaced or capitalised; None where there is none."""
    return _RECORDS.get(_letters(word))
