"""``import bench``: quick, light, and what it offers is there and typed."""

import inspect
import json
import subprocess
import sys
import typing

import pytest
from speeds import limit

import bench
from bench.search import space

FUNCTIONS = ("evaluate", "export", "open_board", "predict", "push", "reproduce", "resolve", "run", "score", "search")
HEAVY = {"torch", "numpy", "pydantic", "rich", "typer", "sqlalchemy", "optuna", "scipy", "matplotlib"}

LOOK = """
import sys, time
before = set(sys.modules)
began = time.perf_counter()
import bench
print(__import__("json").dumps([time.perf_counter() - began, sorted(set(sys.modules) - before)]))
"""


def test_importing_it_takes_milliseconds_and_brings_nothing_heavy():
    seconds, modules = [], set()
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
        took, names = json.loads(done.stdout)
        seconds.append(took)
        modules |= set(names)
    assert not modules & HEAVY
    assert not {name for name in modules if name.startswith("bench.") and not name.startswith("bench.core")}
    assert min(seconds) < limit(0.05)


def test_it_lists_what_it_offers():
    assert set(FUNCTIONS) < set(bench.__all__) == set(dir(bench))
    for name in set(bench.__all__) - {"__version__"}:
        assert getattr(bench, name).__name__ == name
    with pytest.raises(AttributeError, match="module 'bench' has no attribute 'nonsense'"):
        _ = bench.nonsense


def test_the_function_search_is_not_hidden_by_the_package_of_that_name():
    assert space.build_space
    assert sys.modules["bench.search"].__name__ == "bench.search"
    assert inspect.isfunction(bench.search)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_argument_has_a_type_and_a_description(name):
    function = getattr(bench, name)
    for parameter in inspect.signature(function).parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty, parameter.name
        assert f"{parameter.name}:" in inspect.getdoc(function), parameter.name
    assert inspect.signature(function).return_annotation is not inspect.Signature.empty


def test_a_type_checker_sees_the_names_where_python_loads_them():
    source = inspect.getsource(bench)
    for name, module in bench._MODULES.items():
        line = next(line for line in source.splitlines() if line.startswith(f"    from {module} import"))
        assert name in line.partition(" import ")[2].replace(",", "").split()
    assert typing.TYPE_CHECKING is False
