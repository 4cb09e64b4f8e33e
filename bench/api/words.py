"""Words that stand for a choice: looked up, and refused with the nearest known one."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from bench.core.errors import SpecError
from bench.core.registry import suggestion
from bench.core.text import echoed

if TYPE_CHECKING:
    from leaderboard.results.schema import Rule

Word = TypeVar("Word", bound=str)


def known_word(what: str, word: str, known: tuple[Word, ...]) -> Word:
    """The known word that is equal to one that a user wrote.

    Args:
        what: What it is a word for, as in ``protocol``.
        word: What was written.
        known: The words that there are.

    Raises:
        SpecError: If it is none of them; the nearest is named.
    """
    for one in known:
        if one == word:
            return one
    raise SpecError(f"Unknown {what} '{echoed(word)}': {suggestion(word, known)}")


def selection_rule(word: str, what: str = "protocol") -> Rule:
    """The selection rule of a name: ``last``, ``best-test`` or ``best-val``; raises SpecError for another word."""
    from leaderboard.results.schema import RULES

    return known_word(what, word, RULES)
