"""The house's plan, drawn from its source: imports run down the floors, never up, and never in a circle."""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("bench", "baselines", "methods", "leaderboard")

FLOORS: tuple[tuple[str, ...], ...] = (
    ("bench.core",),
    ("leaderboard",),
    ("bench.engine.host_arrays",),
    tuple(f"bench.engine.{part}" for part in ("augment", "distribution", "optim", "sampling", "schedule", "tracking")),
    ("bench.data", "baselines", "methods"),
    ("bench.plugins",),
    ("bench.experiment",),
    ("bench.engine",),
    ("bench.launch",),
    ("bench.search", "bench.mock"),
    ("bench.api",),
    ("bench",),
    ("bench.cli",),
    ("bench.__main__",),
)
"""From the ground up. A room imports from its own part of its floor, and from the floors below."""

NO_TORCH = ("bench.core", "leaderboard", "bench.cli")

COMMANDS = "bench.cli"
COMMANDS_IMPORT = (
    *("bench.api", "bench.core", COMMANDS),
    "leaderboard.render",
)
"""A command parses words, calls the API, and prints: it needs nothing else of ours."""

Graph = Mapping[str, set[str]]


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(source: str) -> set[str]:
    """Every name that a source imports, inside functions and for type checkers too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def import_graph(root: Path) -> Graph:
    """Modules, and the modules of this project that each imports."""
    files = {module_name(path, root): path for package in PACKAGES for path in (root / package).rglob("*.py")}

    def module_of(name: str) -> str | None:
        """The module that a name is, or stands in."""
        return next((known for known in (name, name.rpartition(".")[0]) if known in files), None)

    def arrows(module: str, path: Path) -> set[str]:
        found = {module_of(name) for name in imported_names(path.read_text(encoding="utf-8"))}
        return {other for other in found if other is not None and other != module}

    return {module: arrows(module, path) for module, path in files.items()}


def place(module: str) -> tuple[int, str]:
    """Floor of a module, and the part of it that it belongs to; the longest name decides."""
    fitting = [(len(part), floor, part) for floor, parts in enumerate(FLOORS) for part in parts if is_in(module, part)]
    _, floor, part = max(fitting)
    return floor, part


def arrows_up(graph: Graph) -> list[str]:
    """Arrows to a higher floor, or to another part of the same floor."""
    found = []
    for module, others in sorted(graph.items()):
        floor, part = place(module)
        for other in sorted(others):
            other_floor, other_part = place(other)
            if other_floor > floor or (other_floor == floor and other_part != part):
                found.append(f"{module} ({part}) -> {other} ({other_part})")
    return found


def is_in(module: str, part: str) -> bool:
    return module == part or module.startswith(part + ".")


def past_the_api(graph: Graph, command: str) -> list[str]:
    """Arrows of a module of commands to what is neither the API nor a writer of tables."""
    return [
        f"{command} -> {other}"
        for other in sorted(graph[command])
        if not any(is_in(other, part) for part in COMMANDS_IMPORT)
    ]


def circles(graph: Graph) -> list[str]:
    """Each circle of imports once, as ``a -> b -> a`` (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[str] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in sorted(graph[module]):
            if other not in index:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            ring = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(ring) > 1:
                found.append(" -> ".join([*ring, ring[0]]))

    for module in sorted(graph):
        if module not in index:
            visit(module)
    return found


@pytest.fixture(scope="module")
def graph() -> Graph:
    found = import_graph(ROOT)
    assert len(found) > 200, "the whole project is read"
    return found


def test_no_import_runs_up(graph):
    found = arrows_up(graph)
    assert not found, "imports that run up:\n" + "\n".join(found)


def test_no_modules_import_one_another_in_a_circle(graph):
    found = circles(graph)
    assert not found, "circles of imports:\n" + "\n".join(found)


@pytest.mark.parametrize("path", sorted((ROOT / "bench" / "cli").glob("*.py")), ids=lambda path: path.stem)
def test_a_command_parses_calls_the_api_and_prints(graph, path):
    found = past_the_api(graph, module_name(path, ROOT))
    assert not found, "belongs into bench/api:\n" + "\n".join(found)


def test_ground_floor_and_board_name_no_torch():
    heavy = {"torch", "torchaudio", "torchvision", "timm", "accelerate"}
    found = [
        f"{module_name(path, ROOT)} -> {name}"
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if module_name(path, ROOT).startswith(NO_TORCH)
        for name in sorted(imported_names(path.read_text(encoding="utf-8")))
        if name.partition(".")[0] in heavy
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("files", "arrow"),
    [
        ({"bench/core/text.py": "from leaderboard import metrics", "leaderboard/metrics.py": ""}, "bench.core.text"),
        ({"methods/base.py": "import baselines.weights", "baselines/weights.py": ""}, "methods.base"),
        ({"bench/engine/data.py": "def f():\n    from bench.cli.run import g", "bench/cli/run.py": ""}, "bench.engine"),
    ],
)
def test_an_arrow_up_is_found_and_printed(tmp_path, files, arrow):
    found = arrows_up(import_graph(written(tmp_path, files)))
    assert len(found) == 1
    assert found[0].startswith(arrow)
    assert " -> " in found[0]


def test_a_circle_is_found_and_printed(tmp_path):
    files = {
        "bench/data/one.py": "from bench.data.two import x",
        "bench/data/two.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from bench.data import one",
        "bench/data/three.py": "from bench.data import one",
    }
    assert circles(import_graph(written(tmp_path, files))) == ["bench.data.one -> bench.data.two -> bench.data.one"]


def test_a_command_that_does_more_is_found_and_printed(tmp_path):
    files = {
        "bench/cli/board.py": "from bench.api.boards import x\ndef f():\n    from leaderboard.store.store import Store",
        "bench/api/boards.py": "from leaderboard.store.store import Store",
        "leaderboard/store/store.py": "",
    }
    graph = import_graph(written(tmp_path, files))
    assert past_the_api(graph, "bench.cli.board") == ["bench.cli.board -> leaderboard.store.store"]


def written(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


if __name__ == "__main__":
    for module, others in sorted(import_graph(ROOT).items(), key=lambda item: (place(item[0]), item[0])):
        sys.stdout.write(f"{place(module)[0]} {module}: {', '.join(sorted(others))}\n")
