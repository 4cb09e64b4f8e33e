"""The picture of the architecture, drawn from the imports in the source by the code of the test of the import graph."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType

from site_pages.markdown import code, table
from site_pages.svg import arrow, box, drawing, words

ROOT = Path(__file__).resolve().parents[2]
WIDTH, ROW, HEIGHT, GAP = 480, 62, 36, 8

Arrows = Mapping[str, set[str]]


@cache
def import_graph() -> ModuleType:
    """The module of the tests that reads the imports."""
    path = ROOT / "tests" / "support" / "import_graph.py"
    spec = importlib.util.spec_from_file_location("import_graph", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@cache
def rooms() -> tuple[Mapping[str, int], Arrows]:
    """The rooms of the house with the number of their modules, and the rooms that each imports from."""
    graph = import_graph()
    modules = graph.import_graph(ROOT)
    numbers = Counter(graph.place(module)[1] for module in modules)
    arrows: dict[str, set[str]] = {room: set() for room in numbers}
    for module, others in modules.items():
        room = graph.place(module)[1]
        arrows[room] |= {graph.place(other)[1] for other in others} - {room}
    return numbers, arrows


def without_shortcuts(arrows: Arrows) -> dict[str, set[str]]:
    """The arrows that no longer way stands for: what is left of a room's imports if those of its imports are known.

    Args:
        arrows: Rooms, and those that each imports from; no circle is among them.
    """
    below: dict[str, set[str]] = {}

    def all_below(room: str) -> set[str]:
        if room not in below:
            below[room] = set(arrows[room]).union(*(all_below(other) for other in arrows[room]))
        return below[room]

    return {
        room: {one for one in others if not any(one in all_below(other) for other in others if other != one)}
        for room, others in arrows.items()
    }


def architecture_picture() -> str:
    """Floors from the commands at the top down to the ground, with the arrows of imports between their rooms."""
    numbers, arrows = rooms()
    floors = [[room for room in floor if room in numbers] for floor in reversed(import_graph().FLOORS)]
    places = {room: place for number, floor in enumerate(floors) for room, place in _places(floor, 4 + ROW * number)}
    parts = [
        arrow((places[room][0] + places[room][2] / 2, places[room][1] + HEIGHT), _top(places[other], room, other))
        for room, others in without_shortcuts(arrows).items()
        for other in sorted(others)
    ]
    for room, (x, y, width) in places.items():
        parts += [box(x, y, width, HEIGHT, "room", 5), *_room_words(room, numbers[room], x + width / 2, y, width)]
    said = f"{len(places)} rooms on {len(floors)} floors; imports run down alone, from bench.cli to bench.core"
    caption = "An arrow says: imports. Those that follow from others are left out."
    return drawing(WIDTH, ROW * len(floors), said, parts, caption)


def _places(floor: Iterable[str], y: float) -> Iterable[tuple[str, tuple[float, float, float]]]:
    names = list(floor)
    width = min((WIDTH - GAP * (len(names) - 1)) / len(names), 190)
    x = (WIDTH - width * len(names) - GAP * (len(names) - 1)) / 2
    for number, room in enumerate(names):
        yield room, (x + (width + GAP) * number, y, width)


def _top(place: tuple[float, float, float], room: str, other: str) -> tuple[float, float]:
    """Where an arrow meets a room; arrows from different rooms meet it at different points."""
    x, y, width = place
    share = (hash_of(room + other) % 60 - 30) / 100
    return x + width / 2 + width * share, y


def hash_of(name: str) -> int:
    """A number that is the same in each run of Python."""
    return sum(ord(letter) * (place + 1) for place, letter in enumerate(name))


def _room_words(room: str, number: int, x: float, y: float, width: float) -> list[str]:
    name = room.removeprefix("bench.engine.") if width < 120 else room
    return [
        words(x, y + 15, name, "room-name", "middle"),
        words(x, y + 29, f"{number} module{'s' if number > 1 else ''}", "small", "middle"),
    ]


def room_table() -> str:
    """The rooms with all that each imports from."""
    numbers, arrows = rooms()
    order = [room for floor in reversed(import_graph().FLOORS) for room in floor if room in numbers]
    cells = [
        (code(room), str(numbers[room]), ", ".join(code(other) for other in sorted(arrows[room])) or "–")
        for room in order
    ]
    return table(("room", "modules", "imports from"), cells)
