"""Composite systems: from the card of a small graph of runs to complete specs of its parts, once per seed.

Each part is a run with an id of its own. A part may start from the weights of another, and parts may each serve one
recording device. What is wrong with a composite is found here, before anything is trained.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench.core.cards import CompositeCard, PartCard
from bench.core.datasets import TRAIN
from bench.core.errors import BenchError, SpecError
from bench.core.fields import parts_of
from bench.core.registry import ID, suggestion
from bench.core.text import counted_noun, echoed
from bench.data.sources import load_dataset
from bench.experiment.recipes import DataSource, Request, check_spec, resolve
from bench.experiment.spec import OWNERS, RunSpec
from leaderboard.results.combinations import COMBINATIONS, ROUTE, unserved
from leaderboard.results.finished_parts import part_entry
from leaderboard.results.schema import Part
from leaderboard.results.validation import combined_id
from leaderboard.store.result_rows import system_hash

TRAIN_DEVICE = "train_device"
"""Name of the field by which a run is trained on recordings of one device alone."""

_START = re.compile(r"part:([^:]+):(last|best-test|best-val|stage-[0-9]{1,4})")


@dataclass(frozen=True, kw_only=True)
class CompositePart:
    """A part of a composite with its complete spec.

    Attributes:
        name: Name of the part.
        spec: The spec of its run.
        start: Name of the part whose weights it starts from, and which of them; None for a start of its own.
        device: Recording device that it serves; None where devices do not matter.
        default: Whether it serves the devices that no other part does.
    """

    name: str
    spec: RunSpec
    start: tuple[str, str] | None = None
    device: str | None = None
    default: bool = False

    @property
    def system(self) -> str:
        """Hash of the part's spec without the seed; a start from another part counts by that part's name."""
        identity = self.spec.identity()
        if self.start is not None:
            identity["init_from"] = f"part:{':'.join(self.start)}"
        return system_hash(identity)


@dataclass(frozen=True, kw_only=True)
class Composite:
    """A composite system with one seed, complete.

    Attributes:
        name: Name of the system.
        combine: How the scores of its parts become one.
        parts: The parts, each after the one that it starts from.
        seed: Seed of all parts.
    """

    name: str
    combine: str
    parts: tuple[CompositePart, ...]
    seed: int

    @property
    def entries(self) -> list[Part]:
        """The parts with their run ids, as the result names them."""
        return [part_entry(part.name, part.spec.run_id, part.device, part.default) for part in self.parts]

    @property
    def run_id(self) -> str:
        """Id of the composite: a hash of its combination and the ids of its parts, by name."""
        return combined_id("composite", self.combine, self.entries)


# --- the card by itself -----------------------------------------------------------------------------------------


def check_card(card: CompositeCard) -> None:
    """Check what a composite says of itself; ids and settings are looked up later, with those of a run.

    Raises:
        SpecError: If there is no such combination, a name cannot be one, or the parts do not fit together.
    """
    if not ID.fullmatch(card.id) or len(card.id) > 100:
        raise SpecError(
            f"The composite's name '{echoed(card.id)}' must be lower-case letters, digits and any of . _ + -"
        )
    if card.combine not in COMBINATIONS:
        raise SpecError(f"Unknown combination '{echoed(card.combine)}': {suggestion(card.combine, COMBINATIONS)}")
    if len(card.parts) < 2:
        raise SpecError(
            f"The composite '{card.id}' has {counted_noun(len(card.parts), 'part')}, but needs two or more."
        )
    for name in card.parts:
        _check_part_name(name)
    _check_devices(card)
    training_order(card)


def _check_part_name(name: str) -> None:
    reserved = (*OWNERS, *parts_of(RunSpec))
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", name):
        raise SpecError(f"The part's name '{echoed(name)}' must be up to 40 lower-case letters, digits and any of _ -")
    if name in reserved:
        raise SpecError(
            f"No part can be called '{name}': --set {name}.NAME is a setting of every run.", "Give it another name."
        )


def _check_devices(card: CompositeCard) -> None:
    """Check that parts name devices where the combination routes by them, and nowhere else, each once."""
    for name, part in card.parts.items():
        said = part.device is not None or part.default or part.each_device
        if card.combine == ROUTE and not said:
            raise SpecError(
                f"The part '{name}' serves no device, but the combination is {ROUTE}.",
                'Give it a device = "…", each_device = true or default = true.',
            )
        if card.combine != ROUTE and said:
            raise SpecError(
                f"The part '{name}' serves a device, but the combination is {card.combine}.",
                f'Use combine = "{ROUTE}", or set train_device among its settings.',
            )
    if card.parts and all(part.each_device for part in card.parts.values()):
        raise SpecError(
            f"Each part of the composite '{card.id}' stands for several, one for each device.",
            "Make one of them the default (default = true).",
        )
    devices = [part.device for part in card.parts.values() if part.device is not None]
    for device in devices:
        if devices.count(device) > 1:
            raise SpecError(f"Several parts serve the device '{echoed(device)}'.", "Leave it to one of them.")
    defaults = [name for name, part in card.parts.items() if part.default]
    if len(defaults) > 1:
        raise SpecError(f"Several parts are the default: {', '.join(defaults)}.", "Leave it to one of them.")


def training_order(card: CompositeCard) -> list[str]:
    """Names of the parts, each after the part that it starts from, otherwise as the card has them.

    Raises:
        SpecError: If a part starts from what is no part, or parts start from one another in a circle.
    """
    found: list[str] = []
    for name in card.parts:
        path = [name]
        while (start := _start_of(card, path[-1])) is not None:
            if start[0] in path:
                circle = [*path[path.index(start[0]) :], start[0]]
                raise SpecError(f"Parts start from one another in a circle: {' from '.join(circle)}.")
            path.append(start[0])
        found += [one for one in reversed(path) if one not in found]
    return found


def _start_of(card: CompositeCard, name: str) -> tuple[str, str] | None:
    """The part that a part starts from, and which of its weights."""
    text = card.parts[name].init_from
    if text is None:
        return None
    read = _START.fullmatch(text)
    if read is None:
        raise SpecError(f"The part '{name}' has init_from = '{echoed(text)}', but must be like part:NAME:last.")
    if read[1] not in card.parts:
        raise SpecError(
            f"The part '{name}' starts from the part '{echoed(read[1])}': {suggestion(read[1], card.parts)}"
        )
    return read[1], read[2]


# --- complete specs ---------------------------------------------------------------------------------------------


def part_requests(
    card: CompositeCard, asked: Mapping[str, Any], families: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Request]:
    """The request of each part's run, in the order of training.

    Args:
        card: A composite that was checked.
        asked: Fields of :class:`bench.experiment.recipes.Request` that all parts share. Its ``fields`` and ``settings``
            win over those of a part; one of the form ``PART.name`` is for that part alone, or for those of all devices
            that stand in its place.
        families: Name of the part in whose place a device's part stands, by its own name.
    """
    return {name: _request(card, name, asked, families) for name in training_order(card)}


def _request(card: CompositeCard, name: str, asked: Mapping[str, Any], families: Mapping[str, str]) -> Request:
    part = card.parts[name]
    own_words = partial(_for_part, name=name, card=card, families=families)
    given = {
        own: value
        for key, value in asked.get("fields", {}).items()
        if value is not None and (own := own_words(key)) is not None
    }
    return Request(
        **{
            **asked,
            "model": part.model,
            "method": part.method,
            "pretrain": part.pretrain,
            "frontend": part.frontend,
            "recipes": part.recipes,
            "fields": {**part_settings(part), **given},
            "settings": [own for pair in asked.get("settings", ()) if (own := own_words(pair)) is not None],
        }
    )


def part_settings(part: PartCard) -> dict[str, Any]:
    """The settings of a part; the device that it serves is the one that it is trained on, unless they have another.

    Args:
        part: The part.
    """
    names = {name.rpartition(".")[2] for name in part.settings}
    trained_on = {TRAIN_DEVICE: part.device} if part.device is not None and TRAIN_DEVICE not in names else {}
    return {**trained_on, **part.settings}


def _for_part(setting: str, name: str, card: CompositeCard, families: Mapping[str, str]) -> str | None:
    """A setting, with or without its value, as a part takes it; None for one of another part."""
    owner, dot, rest = setting.partition(".")
    if dot and owner in (name, families.get(name)):
        return rest
    # As long as devices are not known, what begins like the part of one is taken for it.
    of_device = any(part.each_device and owner.startswith(f"{each}-") for each, part in card.parts.items())
    of_another = dot and (owner in card.parts or owner in families.values() or of_device)
    return None if of_another else setting


def resolve_composite(
    card: CompositeCard, asked: Mapping[str, Any], source: DataSource, seeds: Sequence[int]
) -> list[Composite]:
    """Turn a composite into one complete system per seed.

    Args:
        card: The composite.
        asked: What all parts share, as for :func:`part_requests`.
        source: Data and profile.
        seeds: One composite each; a seed is that of all parts.

    Raises:
        BenchError: As :func:`check_card`, and as :func:`bench.experiment.recipes.resolve` for the run of a part, which
            is named; or if no part serves the device of a test cycle.
    """
    check_card(card)
    card, families = _for_devices(card, asked, source, seeds)
    specs: dict[str, list[RunSpec]] = {}
    for name, request in part_requests(card, asked, families).items():
        with part_named(name):
            found = [spec.changed(part_of=card.id) for spec in resolve(request, source, seeds)]
            specs[name] = _started(found, _start_of(card, name), specs)
    _check_test_devices(card, next(iter(specs.values()))[0], bool(asked.get("allow_partial")))
    return [_composite(card, {name: found[place] for name, found in specs.items()}) for place in range(len(seeds))]


def _for_devices(
    card: CompositeCard, asked: Mapping[str, Any], source: DataSource, seeds: Sequence[int]
) -> tuple[CompositeCard, dict[str, str]]:
    """The composite with a part for each recording device in the place of those that stand for several.

    Returns:
        The composite, and of each part of a device the one in whose place it stands.
    """
    families: dict[str, str] = {}
    if not any(part.each_device for part in card.parts.values()):
        return card, families
    known = next(name for name, part in card.parts.items() if not part.each_device)
    with part_named(known):
        [spec] = resolve(part_requests(card, asked)[known], source, seeds[:1])
    devices = _judged_devices(spec, bool(asked.get("allow_partial")))
    parts: dict[str, PartCard] = {}
    for name, part in card.parts.items():
        if part.each_device:
            one = dataclasses.replace(part, each_device=False)
            of_devices = {_part_of_device(name, each): dataclasses.replace(one, device=each) for each in devices}
            parts |= of_devices
            families |= dict.fromkeys(of_devices, name)
        else:
            parts[name] = part
    found = dataclasses.replace(card, parts=parts)
    check_card(found)
    return found, families


def _part_of_device(name: str, device: str) -> str:
    return f"{name}-{re.sub('[^a-z0-9]+', '-', device.lower()).strip('-')}"


def _judged_devices(spec: RunSpec, allow_partial: bool) -> list[str]:
    """Devices that both training and tested cycles were recorded with, sorted."""
    dataset = load_dataset(
        Path(spec.data), spec.dataset, spec.task, allow_partial=allow_partial, cache=Path(spec.cache)
    )
    heard = [recording for recording in dataset.recordings if recording.cycles]
    trained = {recording.device for recording in heard if recording.split == TRAIN}
    return sorted(trained & {recording.device for recording in heard if recording.split != TRAIN})


def _started(
    found: Sequence[RunSpec], start: tuple[str, str] | None, specs: Mapping[str, Sequence[RunSpec]]
) -> list[RunSpec]:
    """Specs of a part, one per seed, that start from the weights of another part's run with the same seed."""
    if start is None:
        return list(found)
    part, which = start
    before = [spec.run_id for spec in specs[part]]
    started = [spec.changed(init_from=f"{run_id}:{which}") for spec, run_id in zip(found, before, strict=True)]
    for spec in started:
        check_spec(spec)
    return started


@contextlib.contextmanager
def part_named(name: str) -> Iterator[None]:
    """Have the error of a block name the part that it is about.

    Args:
        name: Name of the part.
    """
    try:
        yield
    except BenchError as error:
        raise type(error)(f"Part '{name}': {error.message}", error.hint) from error


def _composite(card: CompositeCard, specs: Mapping[str, RunSpec]) -> Composite:
    parts = [
        CompositePart(
            name=name,
            spec=spec,
            start=_start_of(card, name),
            device=card.parts[name].device,
            default=card.parts[name].default,
        )
        for name, spec in specs.items()
    ]
    ids = [part.spec.run_id for part in parts]
    for part in parts:
        if ids.count(part.spec.run_id) > 1:
            twins = [other.name for other in parts if other.spec.run_id == part.spec.run_id]
            raise SpecError(
                f"The parts {', '.join(twins)} are one and the same run.",
                "Give them different settings, or leave one out.",
            )
    return Composite(name=card.id, combine=card.combine, parts=tuple(parts), seed=parts[0].spec.seed)


def _check_test_devices(card: CompositeCard, spec: RunSpec, allow_partial: bool) -> None:
    """Check that the devices that parts serve are there, and that every test cycle has a part."""
    if card.combine != ROUTE:
        return
    place, cache = Path(spec.data), Path(spec.cache)
    dataset = load_dataset(place, spec.dataset, spec.task, allow_partial=allow_partial, cache=cache)
    known = sorted({recording.device for recording in dataset.recordings})
    served = {name: None if part.default else part.device for name, part in card.parts.items()}
    for name, part in card.parts.items():
        if part.device is not None and part.device not in known:
            raise SpecError(
                f"The part '{name}' serves the device '{echoed(part.device)}': {suggestion(part.device, known)}"
            )
    judged = [recording.device for recording in dataset.recordings if recording.split != TRAIN and recording.cycles]
    lost = unserved(served, judged)
    if lost:
        raise SpecError(
            f"No part serves the device {', '.join(lost)}, but test cycles were recorded with it.",
            "Name a part for it, or make one the default (default = true).",
        )
