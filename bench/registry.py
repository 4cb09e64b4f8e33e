"""One registry class for models, methods and front-ends; entries are text, so that listing imports no torch."""

from __future__ import annotations

import difflib
import functools
import importlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from bench.errors import RegistryError

CardT = TypeVar("CardT")


def suggestion(name: str, known: Iterable[str]) -> str:
    """Say which known name was probably meant.

    Args:
        name: What the user typed.
        known: The names that exist.

    Returns:
        ``did you mean 'x'?`` where one is close, otherwise the list of what there is.
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known: {', '.join(names)}" if names else "there is none"


def _load(target: str) -> Any:
    """Import ``module:attribute``."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


@dataclass(frozen=True)
class Entry(Generic[CardT]):
    """A registered thing: its card, where its builder is (``module:attribute``), and what that is given first."""

    id: str
    card: CardT
    target: str
    arguments: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """The module that the builder comes from."""
        return self.target.partition(":")[0]

    def load(self) -> Any:
        """Import the builder's module and return the builder."""
        builder = _load(self.target)
        return functools.partial(builder, *self.arguments) if self.arguments else builder


@dataclass(frozen=True)
class Family(Generic[CardT]):
    """Ids of the form ``prefix:NAME``, too many to list: their cards are made when they are asked for.

    Attributes:
        prefix: What comes before the colon.
        doc: One line on what NAME may be.
        card: Where the function is that makes the card of a NAME, and refuses unknown ones (``module:attribute``).
        target: Where the builder is; it is given the NAME first.
    """

    prefix: str
    doc: str
    card: str
    target: str

    def entry(self, name: str) -> Entry[CardT]:
        """Make the entry of a NAME."""
        return Entry(f"{self.prefix}:{name}", _load(self.card)(name), self.target, (name,))


class Registry(Generic[CardT]):
    """Maps ids to cards and lazily imported builders.

    Args:
        kind: What is registered, as a word for messages (``model``).
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.families: list[Family[CardT]] = []
        self._entries: dict[str, Entry[CardT]] = {}

    def add(self, id: str, card: CardT, target: str, *arguments: str) -> None:  # noqa: A002
        """Register an entry.

        Args:
            id: Its name on the command line.
            card: Its card.
            target: Its builder as ``module:attribute``; imported only when it is used.
            *arguments: What the builder is given before anything else.

        Raises:
            RegistryError: If the id is taken; both origins are named.
        """
        if id in self._entries:
            first = self._entries[id].origin
            raise RegistryError(f"The {self.kind} id '{id}' is claimed by {first} and by {target.partition(':')[0]}.")
        self._entries[id] = Entry(id, card, target, arguments)

    def get(self, id: str) -> Entry[CardT]:  # noqa: A002
        """Find an entry, or make it where the id belongs to a family.

        Raises:
            RegistryError: If there is none; the nearest id is suggested.
        """
        prefix, colon, name = id.partition(":")
        for family in self.families:
            if colon and prefix == family.prefix:
                return family.entry(name)
        try:
            return self._entries[id]
        except KeyError:
            raise RegistryError(f"Unknown {self.kind} '{id}': {suggestion(id, self._entries)}") from None

    def card(self, id: str) -> CardT:  # noqa: A002
        """The card of an id; raises as :meth:`get` does."""
        return self.get(id).card

    def __iter__(self) -> Iterator[Entry[CardT]]:
        return iter(self._entries.values())

    def __contains__(self, id: object) -> bool:  # noqa: A002
        return id in self._entries

    def __len__(self) -> int:
        return len(self._entries)
