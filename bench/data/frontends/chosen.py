"""A front-end and its options, chosen but not built: readable without torch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.core.options import build_options, without_later_defaults
from bench.data.frontends import FRONTENDS, FrontEnd, PieceOptions, SpanPieceOptions, WaveformFrontEnd

if TYPE_CHECKING:
    from bench.data.dataset import Cycle, Recording


@dataclass(frozen=True)
class ChosenFrontEnd:
    """A front-end and its options, not yet built.

    Attributes:
        frontend: Id of the front-end in the registry.
        options: Options of the front-end, an object of the class that its card names.
        version: Version on the front-end's card.
        plugin: Version of the plug-in that the front-end comes from; None where it is built in.
    """

    frontend: str
    options: Any
    version: int
    plugin: str | None = None

    def build(self) -> FrontEnd | WaveformFrontEnd:
        """Make the front-end; imports torch."""
        built: FrontEnd | WaveformFrontEnd = FRONTENDS.get(self.frontend).load()(self.options)
        return built

    def cycles_of_rows(self, recordings: Sequence[Recording]) -> list[tuple[Cycle, ...]]:
        """The cycle of each row of some recordings: itself, or as often as the front-end makes pieces of it.

        Args:
            recordings: The recordings.

        Returns:
            The cycles of the rows of each recording.
        """
        if not isinstance(self.options, PieceOptions):
            return [recording.cycles for recording in recordings]
        found = []
        for recording in recordings:
            pairs = zip(recording.cycles, _piece_counts(self.options, recording), strict=True)
            found.append(tuple(cycle for cycle, count in pairs for _ in range(count)))
        return found

    def identity(self) -> dict[str, Any]:
        """What says which numbers it makes: id, version and options, and the plug-in's version where it is one."""
        # A plug-in's code may change while its card keeps the version.
        plugin = {} if self.plugin is None else {"plugin": self.plugin}
        # Options that came later orphan no bank.
        options = without_later_defaults(dataclasses.asdict(self.options), type(self.options))
        return {**plugin, "frontend": self.frontend, "version": self.version, "options": options}

    def fit_identity(self) -> dict[str, Any]:
        """What says which waveforms it cuts: as :meth:`identity`, with those options alone that it names for that."""
        whole = self.identity()
        names = getattr(type(self.options), "FIT_OPTIONS", tuple(whole["options"]))
        return {**whole, "options": {name: value for name, value in whole["options"].items() if name in names}}


def _piece_counts(options: PieceOptions, recording: Recording) -> list[int]:
    """Pieces that each cycle of a recording becomes."""
    if not isinstance(options, SpanPieceOptions):
        return options.pieces([cycle.end - cycle.start for cycle in recording.cycles])
    duration = math.inf if recording.header is None else recording.header.frames / recording.header.rate
    return options.pieces_of_spans([(cycle.start, cycle.end) for cycle in recording.cycles], duration)


def choose_front_end(frontend: str, options: Mapping[str, Any]) -> ChosenFrontEnd:
    """Read a front-end's options.

    Args:
        frontend: Id of a front-end.
        options: Options of the front-end, texts or values; those that are left out keep their defaults.

    Raises:
        SpecError: For an unknown front-end or option.
    """
    card, plugin = FRONTENDS.card(frontend), FRONTENDS.get(frontend).version
    return ChosenFrontEnd(frontend, build_options(card.options, options, f"front-end {frontend}"), card.version, plugin)
