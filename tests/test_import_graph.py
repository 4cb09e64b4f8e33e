"""The house's plan, drawn from its source: imports run down the floors, never up, and never in a circle."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "support"))  # as a script, too

from import_graph import (
    PACKAGES,
    ROOT,
    Graph,
    arrows_up,
    circles,
    import_graph,
    imported_names,
    is_in,
    module_name,
    place,
)

NO_TORCH = ("bench.core", "leaderboard", "bench.cli")

COMMANDS = "bench.cli"
COMMANDS_IMPORT = (
    *("bench.api", "bench.core", COMMANDS),
    "leaderboard.render",
)
"""A command parses words, calls the API, and prints: it needs nothing else of ours."""


def past_the_api(graph: Graph, command: str) -> list[str]:
    """Arrows of a module of commands to what is neither the API nor a writer of tables."""
    return [
        f"{command} -> {other}"
        for other in sorted(graph[command])
        if not any(is_in(other, part) for part in COMMANDS_IMPORT)
    ]


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


def test_scripts_beside_the_tests_run_where_no_pytest_is():
    support = Path(__file__).resolve().parent / "support"
    sources = {path.name: path.read_text(encoding="utf-8") for path in support.glob("*.py")}
    scripts = {name: source for name, source in sources.items() if '__name__ == "__main__"' in source}
    assert "hub_server.py" in scripts
    assert [name for name, source in scripts.items() if re.search(r"^(import|from) pytest", source, re.MULTILINE)] == []


def written(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


if __name__ == "__main__":
    for module, others in sorted(import_graph(ROOT).items(), key=lambda item: (place(item[0]), item[0])):
        sys.stdout.write(f"{place(module)[0]} {module}: {', '.join(sorted(others))}\n")
