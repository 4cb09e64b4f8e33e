"""Nothing outside a data set's own folder names it: what is to be known of a set, its card says.

Names in code are looked for (identifiers, and text but for docstrings, whatever the case); comments and docstrings may
cite a set as the source of a number.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from bench.core.datasets import DATASETS

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("bench", "baselines", "leaderboard", "methods")
OWN_FOLDERS = "bench/data/datasets/"

NAME = re.compile("icbhi|sprsound", re.IGNORECASE)

SIMULATED = "demo"
"""Id of the simulated set. Recipes have the same name, so that it is looked for beside the word ``dataset`` alone."""

INPUT = "a declared input of results and its option on the command line, both of them kept as they are"
CITED = "cites the code or the paper that something is taken from"

EXCEPTIONS = {
    "bench/cli/__init__.py: Benchmark and leaderboard of respiratory sound classification (ICBHI 2017).": "first "
    "words of the program's help, which the contract of the command line keeps",
    "bench/cli/board_exchange.py: pretrained_on_icbhi": INPUT,
    "bench/cli/board_exchange.py: PretrainedOnIcbhi": INPUT,
    "bench/cli/options.py: PretrainedOnIcbhi": INPUT,
    "bench/cli/options.py: --pretrained-on-icbhi/--not-pretrained-on-icbhi": INPUT,
    "bench/cli/options.py: The pretraining's data hold ICBHI.": INPUT,
    "leaderboard/results/inputs.py: pretrained_on_icbhi": INPUT,
    "leaderboard/results/inputs.py: pretrained on ICBHI": INPUT,
    "bench/data/frontends/cards.py: raymin0223/patch-mix_contrastive_learning @ 836b09f, util/icbhi_util.py lines "
    "183-238 and 397-398": CITED,
    "bench/data/frontends/cards.py: ilyassmoummad/scl_icbhi2017 @ 76c4c99, dataset.py lines 84-91, utils.py lines "
    "9-11": CITED,
    "baselines/experts/card.py: ZFFun/Cnn_Moe_Sprsound at 086a1c0": CITED,
    "baselines/panns/card.py: ilyassmoummad/scl_icbhi2017 at 76c4c99": CITED,
    "baselines/timm/named.py: Nothing is published of it on ICBHI: it has Bae et al.'s recipe for CNNs, which need not "
    "suit it.": CITED,
    "methods/scl/card.py: ilyassmoummad/scl_icbhi2017 @ 76c4c99": CITED,
    "leaderboard/audit/result_rows.py: score icbhiscore averagescore avgscore hs_as_score icbhi": "heads that other "
    "people's tables have",
}
"""What may stand although it names a set (``path: text``), with the reason."""


def test_nothing_outside_its_folder_names_a_data_set():
    named = {
        f"{place}: {text} (line {line})"
        for place, line, text in names_in_packages()
        if f"{place}: {text}" not in EXCEPTIONS
    }
    assert sorted(named) == []


def test_every_exception_is_still_there():
    assert set(EXCEPTIONS) - {f"{place}: {text}" for place, _, text in names_in_packages()} == set()


def test_the_names_looked_for_are_those_of_the_sets():
    built_in = {entry.card.id for entry in DATASETS if entry.version is None}
    assert {name for name in built_in if not NAME.search(name)} == {DATASETS.simulated().card.id} == {SIMULATED}


@pytest.mark.parametrize(
    "source",
    [
        'dataset = "icbhi"',
        'if name == "SPRSound": pass',
        "def read_icbhi(): pass",
        "import bench.data.datasets.sprsound.card",
        "from bench.data.datasets.icbhi import reader as r",
        "x = paths.icbhi",
        "f(icbhi=1)",
        'f(dataset="demo")',
        'x = {"dataset": "demo"}',
        'if spec["dataset"] == "demo": pass',
        'if dataset in ("demo", "other"): pass',
    ],
)
def test_a_name_in_code_is_found(source):
    assert list(names_in(source))


@pytest.mark.parametrize(
    "source",
    [
        '"""As ICBHI has it."""',
        "x = 1  # ICBHI",
        'f(profile="demo")',
        'x = 1\n"""Of SPRSound."""',
        'if profile == "demo": 1',
    ],
)
def test_a_source_and_the_recipes_of_a_profile_may_be_named(source):
    assert not list(names_in(source))


@cache
def names_in_packages() -> list[tuple[str, int, str]]:
    """Path, line and text of each name of a data set outside the folders of the sets."""
    found = []
    for package in PACKAGES:
        paths = sorted((ROOT / package).rglob("*.py"))
        assert paths, package
        for path in paths:
            place = path.relative_to(ROOT).as_posix()
            if "/" not in place.removeprefix(OWN_FOLDERS) or not place.startswith(OWN_FOLDERS):
                found += [(place, *name) for name in names_in(path.read_text(encoding="utf-8"))]
    return found


def names_in(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of each name of a data set in Python code."""
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) not in docstrings:
            yield from ((_line(node), text) for text in _texts(node) if NAME.search(text))
        if _says_simulated(node):
            yield _line(node), SIMULATED


def _line(node: ast.AST) -> int:
    return int(getattr(node, "lineno", 0))


def _texts(node: ast.AST) -> Iterator[str]:
    """The names and texts that a node itself holds."""
    for _, value in ast.iter_fields(node):
        values = value if isinstance(value, list) else [value]
        yield from (text for text in values if isinstance(text, str))


def _says_simulated(node: ast.AST) -> bool:
    """Whether a node takes the simulated set for a data set by its id."""
    if isinstance(node, ast.keyword):
        return node.arg == "dataset" and _is_simulated(node.value)
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return any(isinstance(key, ast.Constant) and key.value == "dataset" and _is_simulated(of) for key, of in pairs)
    if isinstance(node, ast.Compare):
        return any(map(_is_simulated, ast.walk(node))) and "dataset" in ast.unparse(node)
    return False


def _is_simulated(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value == SIMULATED
