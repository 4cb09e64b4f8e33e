"""One registry class for models, methods, front-ends and data sets; entries are text, so that listing imports no torch.

Other packages add entries through entry points, files through ``--plugin`` (``bench.experiment.plugins``); both hold a
:class:`Registration`.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bench.core.cards import Card, CompositeCard, RunnableCard
from bench.core.errors import RegistryError
from bench.core.text import ECHO_LIMIT, echoed

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

CardT = TypeVar("CardT", bound=Card)

Target = str | Callable[..., Any]
"""A builder: ``module:attribute``, or the class or function itself."""

ID = re.compile(r"[a-z0-9][a-z0-9._+-]*")
GUIDE = "See docs/extending.md."

LISTS = {"lungbench.datasets": "data"}
"""Groups of commands that list a registry, where they have not the name of its entry points."""

SUGGESTIONS, SHORT_LIST = 3, 5
"""Names that a message suggests of a long list, and how long one may be that is given whole."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """Say which known name was probably meant, in few words.

    Args:
        name: What the user typed.
        known: The names that exist.

    Returns:
        ``did you mean 'x'?`` where one is close, otherwise the list of what there is; of a long list the three
        nearest.
    """
    names = sorted(known)
    # Printed names differ from ids by capitals alone.
    in_small = {one.lower(): one for one in reversed(names)}
    # The comparison is slow for long texts, and no name is as long as this.
    word = name[:ECHO_LIMIT].lower()
    close = difflib.get_close_matches(word, in_small, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{in_small[close[0]]}'?"
    if len(names) > SHORT_LIST:
        nearest = [in_small[one] for one in difflib.get_close_matches(word, in_small, n=SUGGESTIONS, cutoff=0.0)]
        return f"there are {len(names)}, such as {', '.join(nearest)}"
    return f"known: {', '.join(names)}" if names else "there is none"


@dataclass(frozen=True, eq=False)
class Registration:
    """The offer of a plug-in: a card, and the builder of the thing that it describes.

    Attributes:
        card: A ``ModelCard``, ``MethodCard``, ``FrontEndCard``, ``DatasetCard``, ``SystemCard`` or ``CompositeCard``;
            its type says which registry it is for.
        build: The builder, or where it is (``module:attribute``), so that listing need not import it. It is called as
            those of the built-in ones are: a model's with (options, classes), a method's with (options, task), a
            front-end's with (options), a data set's with (card). A system has none: its card says all.

    Raises:
        RegistryError: If the card cannot be registered.
    """

    card: Card
    build: Target | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.card, Card):
            raise RegistryError(f"A Registration's card is a {type(self.card).__name__}, but must be a card.", GUIDE)
        name = self.card.id
        if not isinstance(name, str) or not ID.fullmatch(name):
            raise RegistryError(f"The id {name!r} must be lower-case letters, digits and any of . _ + -", GUIDE)
        if isinstance(self.card, RunnableCard):
            if self.build is not None:
                kind = "composite" if isinstance(self.card, CompositeCard) else "system"
                raise RegistryError(f"The {kind} '{name}' has a builder, but its card says all.", GUIDE)
            return
        if isinstance(self.build, str) and not re.fullmatch(r"[\w.]+:\w+", self.build):
            raise RegistryError(f"The builder of '{name}' is '{self.build}', but must be 'module:attribute'.", GUIDE)
        if not isinstance(self.build, str) and not callable(self.build):
            raise RegistryError(f"The builder of '{name}' is no class, function or 'module:attribute'.", GUIDE)
        _check_options(name, self.card.options)


def _check_options(name: str, options: Any) -> None:
    if not (isinstance(options, type) and dataclasses.is_dataclass(options)):
        raise RegistryError(f"The options of '{name}' are {options!r}, but must be a dataclass.", GUIDE)
    for declared in dataclasses.fields(options):
        if declared.default is dataclasses.MISSING:
            raise RegistryError(f"The option '{declared.name}' of '{name}' has no default.", GUIDE)


def _import_target(target: str) -> Any:
    """Import ``module:attribute``."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


@dataclass(frozen=True)
class RegistryEntry(Generic[CardT]):
    """A model, method or front-end as a registry knows it.

    Attributes:
        id: Name on the command line.
        card: Card that describes the thing.
        target: Builder of the thing, or ``module:attribute`` where the builder is; None for a system.
        arguments: Arguments that the builder is given before all others.
        origin: Words on where the thing comes from, for messages: a module, a file, or a package with its version.
        version: Identity of a plug-in's code: the hash of a file, the name and version of a package. None for what
            is built in: its code is the project's.
    """

    id: str
    card: CardT
    target: Target | None
    origin: str
    version: str | None = None
    arguments: tuple[str, ...] = ()

    def load(self) -> Any:
        """Return the builder; imports its module where the entry names it.

        Raises:
            RegistryError: If a plug-in's module cannot be imported or lacks the builder, or there is none.
        """
        if self.target is None:
            raise RegistryError(f"'{self.id}' has no builder: its card says all.")
        try:
            builder = _import_target(self.target) if isinstance(self.target, str) else self.target
            return functools.partial(builder, *self.arguments) if self.arguments else builder
        except (ImportError, AttributeError) as error:
            if self.version is None:
                raise
            raise RegistryError(f"{self.origin} has no builder {self.target} for '{self.id}': {error}.") from error


@dataclass(frozen=True)
class EntryPointProblem:
    """An entry point that cannot be used.

    Attributes:
        kind: Word for what the entry point offers (``model``).
        id: Id that the entry point claims.
        origin: Name and version of the package that declares the entry point.
        reason: Sentence that says why it cannot be used.
    """

    kind: str
    id: str
    origin: str
    reason: str


@dataclass(frozen=True)
class Family(Generic[CardT]):
    """Ids of the form ``prefix:NAME``, too many to list: their cards are made when they are asked for.

    Attributes:
        prefix: Part of the id before the colon.
        doc: One line on what NAME may be.
        card: Where the function is that makes the card of a NAME, and refuses unknown ones (``module:attribute``).
        target: Where the builder is; it is given the NAME first.
        options: The options that all of them have, known without making a card.
        options_by_name: The options of those NAMEs that have others.
    """

    prefix: str
    doc: str
    card: str
    target: str
    options: type
    options_by_name: Mapping[str, type] = field(default_factory=dict)

    def entry(self, name: str) -> RegistryEntry[CardT]:
        """Make the entry of a NAME."""
        origin = self.target.partition(":")[0]
        return RegistryEntry(
            f"{self.prefix}:{name}", _import_target(self.card)(name), self.target, origin, arguments=(name,)
        )


class Registry(Generic[CardT]):
    """Maps ids to cards and lazily imported builders.

    Entry points of installed packages are looked up when the registry is first asked, not before: a broken one is
    kept as a problem that concerns its own id alone.

    Args:
        kind: Word for the things that are registered, for messages (``model``).
        card: Type of the cards.
        group: Group of the entry points, as in ``lungbench.models``.
    """

    def __init__(self, kind: str, card: type[CardT], group: str) -> None:
        self.kind, self.card_type, self.group = kind, card, group
        self.families: list[Family[CardT]] = []
        self._entries: dict[str, RegistryEntry[CardT]] = {}
        self._problems: dict[str, EntryPointProblem] | None = None

    def add(
        self,
        id: str,  # noqa: A002
        card: CardT,
        target: Target | None,
        *arguments: str,
        origin: str | None = None,
        version: str | None = None,
    ) -> None:
        """Register an entry.

        Args:
            id: Name on the command line.
            card: Card that describes the thing.
            target: Builder as ``module:attribute``, imported only when it is used, or the builder itself; None where
                the card says all.
            *arguments: Arguments that the builder is given before all others.
            origin: Words on where the thing comes from, for messages; the builder's module by default.
            version: Identity of a plug-in's code; None for what is built in.

        Raises:
            RegistryError: If the id is taken; both origins are named.
        """
        if origin is None:
            origin = target.partition(":")[0] if isinstance(target, str) else str(getattr(target, "__module__", id))
        if id in self._entries:
            first = self._entries[id].origin
            raise RegistryError(
                f"The {self.kind} id '{id}' is claimed by {first} and by {origin}.", "Give one of them another id."
            )
        self._entries[id] = RegistryEntry(id, card, target, origin, version, arguments)

    def discard(self, id: str) -> None:  # noqa: A002
        """Forget an entry that was there for a while; where there is none, nothing happens."""
        self._entries.pop(id, None)

    def get(self, id: str) -> RegistryEntry[CardT]:  # noqa: A002
        """Find an entry, or make it where the id belongs to a family.

        Raises:
            RegistryError: If there is none (the nearest id is suggested), or its plug-in cannot be used.
        """
        prefix, colon, name = id.partition(":")
        for family in self.families:
            if colon and prefix == family.prefix:
                return family.entry(name)
        problem = self._entry_point_problems().get(id)
        if problem is not None:
            raise RegistryError(problem.reason, f"Mend or uninstall {problem.origin}.")
        if id not in self._entries:
            words = suggestion(id, self._entries)
            command = LISTS.get(self.group, self.group.rpartition(".")[2])
            hint = f"`bench {command} list` names all; those of a plug-in are known with its file: --plugin FILE.py."
            raise RegistryError(
                f"Unknown {self.kind} '{echoed(id)}': {words}", None if "did you mean" in words else hint
            )
        return self._entries[id]

    def card(self, id: str) -> CardT:  # noqa: A002
        """Give the card of an id.

        Raises:
            RegistryError: If there is none (the nearest id is suggested), or its plug-in cannot be used.
        """
        return self.get(id).card

    def options(self, id: str, version: str | None) -> type | None:  # noqa: A002
        """The options of an id, where its code is here in this version; makes no card and raises nothing.

        Args:
            id: A name, possibly of another version of this program or of a plug-in.
            version: The version of the plug-in that it comes from; None for what is built in.
        """
        prefix, colon, name = id.partition(":")
        for family in self.families:
            if colon and prefix == family.prefix:
                return family.options_by_name.get(name, family.options) if version is None else None
        self._entry_point_problems()
        entry = self._entries.get(id)
        return entry.card.options if entry is not None and entry.version == version else None

    def problems(self) -> list[EntryPointProblem]:
        """The entry points that cannot be used."""
        return list(self._entry_point_problems().values())

    def __iter__(self) -> Iterator[RegistryEntry[CardT]]:
        self._entry_point_problems()
        return iter(self._entries.values())

    def __contains__(self, id: object) -> bool:  # noqa: A002
        self._entry_point_problems()
        return id in self._entries

    def __len__(self) -> int:
        self._entry_point_problems()
        return len(self._entries)

    def _entry_point_problems(self) -> dict[str, EntryPointProblem]:
        """The problems of the entry points, which are taken in on the first call."""
        if self._problems is None:
            # At once: a plug-in that is imported below may ask this registry.
            self._problems = {}
            from importlib.metadata import entry_points

            for point in sorted(entry_points(group=self.group), key=lambda point: (point.name, _package_of(point)[0])):
                self._register_entry_point(point, self._problems)
        return self._problems

    def _register_entry_point(self, point: EntryPoint, problems: dict[str, EntryPointProblem]) -> None:
        origin, version = _package_of(point)
        try:
            found = point.load()
            self._check_registration(point, found)
            self.add(point.name, found.card, found.build, origin=origin, version=version)
        except RegistryError as error:
            problems[point.name] = EntryPointProblem(self.kind, point.name, origin, error.message)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - code of others: it concerns its own id alone
            reason = (
                f"The {self.kind} '{point.name}' of {origin} cannot be imported ({point.value}): "
                f"{type(error).__name__}: {error}."
            )
            problems[point.name] = EntryPointProblem(self.kind, point.name, origin, reason)

    def _check_registration(self, point: EntryPoint, found: Any) -> None:
        place = f"The entry point '{point.name}' of {_package_of(point)[0]} in the group {self.group}"
        if not isinstance(found, Registration):
            raise RegistryError(f"{place} is a {type(found).__name__}, but must be a Registration.")
        if not isinstance(found.card, self.card_type):
            kind = type(found.card).__name__
            raise RegistryError(f"{place} holds a {kind}, but must hold a {self.card_type.__name__}.")
        if found.card.id != point.name:
            raise RegistryError(f"{place} has the card of '{found.card.id}': both must have one name.")


def _package_of(point: EntryPoint) -> tuple[str, str]:
    """The package that declares an entry point, for people (``name 1.0``) and as an identity (``name==1.0``)."""
    if point.dist is None:
        return "an unknown package", "unknown"
    return f"{point.dist.name} {point.dist.version}", f"{point.dist.name}=={point.dist.version}"
