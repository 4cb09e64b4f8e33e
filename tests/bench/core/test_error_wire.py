"""Errors that cross a process border: the very class, its words and its exit code; nothing of code from elsewhere."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path

import pytest

from bench.core.error_wire import error_document, read_error
from bench.core.errors import BenchError, DataError, RunError, SpecError, UnexpectedError
from bench.core.log import PACKAGES

ROOT = Path(__file__).resolve().parents[3]


def crossed(error):
    return read_error(json.loads(json.dumps(error_document(error))))


def error_classes():
    """Every class of the project's tree of errors, wherever it stands."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if re.search(r"^class \w+\(\w*Error\)", path.read_text(encoding="utf-8"), re.MULTILINE):
                importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    found, left = set(), [BenchError]
    while left:
        kind = left.pop()
        found.add(kind)
        left += kind.__subclasses__()
    return sorted((kind for kind in found if kind.__module__.partition(".")[0] in PACKAGES), key=lambda it: it.__name__)


def test_every_error_of_the_project_comes_back_as_what_it_is():
    classes = error_classes()
    assert {"DamagedBoardError", "RefusedError", "BadArchiveError", "InterruptedRunError"} <= {
        kind.__name__ for kind in classes
    }
    for kind in classes:
        back = crossed(kind("What is wrong.", "What to do."))
        assert type(back) is kind
        assert (back.message, back.hint, back.exit_code) == ("What is wrong.", "What to do.", kind.exit_code)


def test_an_error_without_a_hint_stays_without():
    assert crossed(SpecError("No.")).hint is None


def test_an_exception_that_nobody_has_thought_of_keeps_the_name_of_its_type():
    back = crossed(KeyError("lr"))
    assert type(back) is UnexpectedError
    assert back.message == "KeyError: 'lr'"
    assert crossed(AssertionError()).message == "AssertionError"
    assert isinstance(back, RunError)


class StrangeError(DataError):
    """Of a module that is none of the project's."""


def test_an_error_of_other_code_is_a_run_error_with_its_exit_code():
    back = crossed(StrangeError("Odd.", "Look."))
    assert type(back) is RunError
    assert (back.message, back.hint, back.exit_code) == ("Odd.", "Look.", DataError.exit_code)
    assert RunError.exit_code == 1


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "ValueError"),
        ("bench.core.errors", "traceback"),
        ("bench.core.errors", "forget"),
        ("bench.core.errors", "NoSuchError"),
        ("bench.no_such_module", "RunError"),
        ("bench.core.error_wire", "read_error"),
        ("benchmarks_of_others", "RunError"),
    ],
)
def test_nothing_but_an_error_of_the_project_is_looked_up(module, name):
    document = {**error_document(SpecError("No.")), "module": module, "type": name}
    assert type(read_error(document)) is RunError


def test_no_module_of_other_code_is_imported(tmp_path, monkeypatch):
    (tmp_path / "trap.py").write_text("raise SystemExit('it was imported')")
    monkeypatch.syspath_prepend(tmp_path)
    read_error({**error_document(SpecError("No.")), "module": "trap", "type": "TrapError"})
    assert "trap" not in sys.modules
