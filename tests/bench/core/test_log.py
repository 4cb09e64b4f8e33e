"""The log: what is shown at which level, what stands before a line, and that nobody's own set-up is overruled."""

from __future__ import annotations

import ast
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.core.errors import SpecError
from bench.core.log import LEVEL_VARIABLE, is_quiet, level_of, show_log

ROOT = Path(__file__).resolve().parents[3]
logger = logging.getLogger("bench.launch.once")


def say_all():
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logger.log(level, "line %d of %s", level, "a run")


@pytest.mark.parametrize(
    ("verbosity", "shown"),
    [
        (1, ["debug: bench.launch.once: line 10", "line 20", "warning: line 30", "error: line 40"]),
        (0, ["line 20", "warning: line 30", "error: line 40"]),
        (-1, ["warning: line 30", "error: line 40"]),
        (-2, ["error: line 40"]),
        (-9, ["error: line 40"]),
    ],
)
def test_what_is_shown(capsys, verbosity, shown):
    show_log(verbosity)
    say_all()
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [f"{line} of a run" for line in shown]
    assert printed.out == ""
    assert is_quiet() == (verbosity < 0)


def test_the_environment_decides_where_no_flag_does(monkeypatch):
    monkeypatch.setenv(LEVEL_VARIABLE, "Debug")
    assert level_of() == logging.DEBUG
    assert level_of(-1) == logging.WARNING
    monkeypatch.setenv(LEVEL_VARIABLE, "loud")
    with pytest.raises(SpecError, match="BENCH_LOG is 'loud', but must be one of debug, info, warning, error"):
        level_of()


def test_the_level_reaches_the_processes_that_are_started(monkeypatch):
    monkeypatch.delenv(LEVEL_VARIABLE, raising=False)
    show_log(-1)
    assert level_of() == logging.WARNING


def test_lines_of_several_runs_carry_their_ids(capsys):
    show_log(label="7be43b5c")
    logger.info("epoch 1")
    logger.warning("late")
    assert capsys.readouterr().err.splitlines() == ["[7be43b5c] epoch 1", "[7be43b5c] warning: late"]


def test_each_line_is_said_once_however_often_the_log_is_set_up(capsys):
    show_log()
    show_log()
    logger.info("once")
    assert capsys.readouterr().err == "once\n"


def test_text_is_shown_and_never_obeyed(capsys):
    show_log()
    logger.info("[bold]100 %% of \x1b[2J postgresql://me:secret@host/board")
    printed = capsys.readouterr().err
    assert "[bold]" in printed
    assert "\x1b" not in printed
    assert "secret" not in printed


def said_by_a_script(code: str) -> str:
    """What a script prints on stderr; of its own process, since pytest listens to the loggers of this one."""
    done = subprocess.run(
        [sys.executable, "-c", f"import logging\nfrom bench.core.log import show_log_by_default\n{code}"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr


def test_a_log_that_somebody_set_up_is_left_alone():
    code = (
        "mine = logging.NullHandler()\nlogging.getLogger('bench').addHandler(mine)\nshow_log_by_default()\n"
        "logging.getLogger('bench.launch').info('nothing')\nassert logging.getLogger('bench').handlers == [mine]"
    )
    assert said_by_a_script(code) == ""


def test_a_call_of_the_api_shows_the_log():
    assert said_by_a_script("show_log_by_default()\nlogging.getLogger('bench.launch').info('said')") == "said\n"


def test_no_function_takes_a_notice():
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for package in ("bench", "baselines", "methods", "leaderboard")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if {"notice", "on_notice", "say"} & {a.arg for a in (*node.args.args, *node.args.kwonlyargs)}
    ]
    assert not found
