"""The house's plan, drawn from its source: floors, rooms, and the arrows of imports between them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
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

Graph = Mapping[str, set[str]]


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """Every statement within a node; expressions, of which there are ten times as many, hold none."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield child
            yield from statements(child)


def imported_names(source: str) -> set[str]:
    """Every name that a source imports, inside functions and for type checkers too."""
    names: set[str] = set()
    for node in statements(ast.parse(source)):
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
