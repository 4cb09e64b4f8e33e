"""How commands behave on terminals of all kinds: narrow, dumb, without colours; and what they say at their end."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from board_runs import write_run
from cli_contract import commands_of
from cli_runs import SMALL_AST, bench_here, json_here
from rich.cells import cell_len

from bench.cli import app
from bench.cli.panels import PANELS
from bench.cli.run_results import print_results
from bench.cli.what_next import is_first_run, say_what_next
from bench.core.log import show_log
from bench.core.terminal import can_redraw, wants_colour
from leaderboard.results.run_folder import RunFolder
from leaderboard.store.store import Store

ROOT = Path(__file__).resolve().parents[3]

LISTS = (
    "models list",
    "methods list",
    "frontends list",
    "systems list",
    "data list",
    "settings optim",
    "board list",
    "report leaderboard",
    "report table3",
)
"""Commands that print a table and need nothing but the packages."""


@pytest.fixture(scope="module")
def place(tmp_path_factory, small_cache):
    """The environment of a results folder with two finished runs on the board."""
    home = tmp_path_factory.mktemp("manners") / "home"
    for seed in (1, 2):
        Store.open(home).import_run(write_run(home, seed=seed))
    return {"BENCH_HOME": str(home), "BENCH_CACHE": str(small_cache)}


@pytest.fixture
def documents(place):
    """The results of both runs."""
    folders = sorted((Path(place["BENCH_HOME"]) / "runs").iterdir())
    return [dict(RunFolder(folder).read_document()) for folder in folders]


# --- narrow terminals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("words", LISTS)
def test_tables_fit_narrow_terminals_and_cut_nothing(place, words, columns):
    text = bench_here(*words.split(), env={**place, "COLUMNS": str(columns)}).stdout
    assert max(map(cell_len, text.splitlines())) <= columns
    assert "…" not in text
    if words in ("models list", "methods list", "frontends list", "data list"):
        # What is typed stands there whole.
        assert [row["id"] for row in json_here(*words.split(), env=place) if row["id"] not in text] == []


@pytest.mark.parametrize("columns", [40, 80])
def test_help_fits_narrow_terminals_cuts_nothing_and_shows_no_type_of_flags(columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    for path, command in commands_of("bench", typer.main.get_command(app)):
        context = typer.Context(command, info_name=path, help_option_names=["-h", "--help"])
        text = command.get_help(context) + capsys.readouterr().out
        assert "<bool>" not in text, path
        assert set(re.findall(r"\w+…", text)) <= {"3f2a…", "2a…"}, path  # of an example
        # Frames of panels stand between the parts of a line that was broken.
        words = re.sub(r"[\s│]", "", text)
        names = [name for one in command.params for name in (*one.opts, *one.secondary_opts) if name.startswith("-")]
        assert [name for name in names if name not in words] == [], path
        assert max(map(cell_len, text.splitlines())) <= max(columns, 80 if path == "bench report" else 55), path


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_results_of_several_seeds_keep_their_numbers(documents, capsys, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    print_results(documents, "table")
    text = capsys.readouterr().out
    assert max(map(cell_len, text.splitlines())) <= columns or "Board: bench report" in text
    assert len(re.findall(r"\d\.\d\d ± \d+\.\d\d", text)) >= 6
    assert "…" not in text


# --- colours ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", ["models list", "settings optim", "report leaderboard", "models show ast", "data list"]
)
def test_colours_are_written_where_they_are_asked_for_alone(place, words):
    def printed(**variables):
        return bench_here(*words.split(), env={**place, "COLUMNS": "100", "TERM": "xterm", **variables}).stdout

    plain = printed()
    assert "\x1b" not in plain
    assert printed(FORCE_COLOR="1", NO_COLOR="1", TERM="dumb").count("\x1b[3") == 0
    coloured = printed(FORCE_COLOR="1")
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured).split() == plain.split()


class Terminal:
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("variables", "colour", "redraw"),
    [
        ({}, True, True),
        ({"NO_COLOR": "1"}, False, True),
        ({"NO_COLOR": ""}, True, True),
        ({"TERM": "dumb"}, False, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, True),
    ],
)
def test_what_a_terminal_is_given(monkeypatch, variables, colour, redraw):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (wants_colour(Terminal()), can_redraw(Terminal())) == (colour, redraw)


# --- the way in ---------------------------------------------------------------------------------------------------


def test_every_command_stands_in_a_panel_and_the_newcomer_s_come_first():
    command = typer.main.get_command(app)
    context = typer.Context(command)
    shown = [name for name in command.list_commands(context) if not command.get_command(context, name).hidden]
    named = [name for names in PANELS.values() for name in names]
    assert [name for name in named if name in shown] == shown, "name a new command in bench/cli/panels.py"
    assert shown[0] == "run"
    assert {command.get_command(context, name).rich_help_panel for name in shown} == set(PANELS)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("rnu", "run"),
        ("model list", "models"),
        ("board lits", "list"),
        ("data verfy", "verify"),
        ("run --modle ast", "--model"),
        ("models show asst", "ast"),
        ("report tabel3", "table3"),
        ("systems show patchmix", "patchmix-cl"),
    ],
)
def test_mistyped_words_are_understood(place, words, meant):
    said = bench_here(*words.split(), env=place, code=2).stderr
    assert re.search(rf"(Did you mean|Possible options|did you mean).*{meant}", said), said


def test_every_group_lists_its_commands_when_it_stands_alone(place):
    for path, command in commands_of("bench", typer.main.get_command(app)):
        if getattr(command, "commands", None) and path not in ("bench", "bench search"):
            shown = bench_here(*path.split()[1:], env=place, code=2).stdout
            assert all(name in shown for name in command.commands), path


def test_ctrl_c_while_the_modules_are_imported_ends_without_a_traceback(tmp_path):
    # What is started in the background of a script inherits that SIGINT is ignored.
    caught = "import signal, os, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    (tmp_path / "typer.py").write_text(f"{caught}os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n")
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', str(ROOT))}"}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--help"], env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (130, ""), done.stderr
    assert time.monotonic() - began < 50


# --- the end of a run ---------------------------------------------------------------------------------------------


def test_the_first_run_explains_itself_and_every_run_says_what_to_do_next(tmp_path, small_data, small_cache):
    env = {"BENCH_HOME": str(tmp_path / "home"), "BENCH_CACHE": str(small_cache)}
    words = ["run", *SMALL_AST, "--epochs", "1", "--data", str(small_data)]
    first = bench_here(*words, env=env)
    assert "The recordings are simulated" in first.stderr
    assert "Sp: how often a normal" in first.stderr
    run_id = re.search(r"[0-9a-f]{16}", first.stdout)[0]
    for command in ("report leaderboard", f"board show {run_id[:8]}", f"predict {run_id[:8]} FILE.wav"):
        assert f"bench {command}" in first.stderr
    assert str(tmp_path / "home" / "runs" / run_id) in first.stderr
    again = bench_here(*words, env=env)
    assert "What to do next:" in again.stderr
    assert "Sp: how often" not in again.stderr
    for quiet in (["-q"], ["--format", "json"]):
        said = bench_here(*words, *quiet, env=env)
        assert "What to do next" not in said.stdout + said.stderr


def test_what_comes_next_names_the_folder_that_was_named(tmp_path, documents, capsys):
    show_log()
    assert is_first_run(tmp_path / "a folder")
    failed = {**documents[0], "status": "failed"}
    say_what_next([*documents, failed], tmp_path / "a folder", first=False)
    said = capsys.readouterr().err
    assert said.count(f"--home '{tmp_path / 'a folder'}'") == 4
    ids = " ".join(run["run_id"][:8] for run in documents)
    assert f"bench ensemble {ids}" in said
    say_what_next([failed], None, first=True)
    assert capsys.readouterr().err == ""


def test_what_comes_next_shows_what_trackers_were_told(tmp_path, documents, capsys, monkeypatch):
    show_log()
    for name in ("MLFLOW_TRACKING_URI", "WANDB_DIR", "TRACKIO_SPACE_ID"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "a home"
    first, second = (home / "runs" / document["run_id"] / "tracking" for document in documents)

    def said(*runs):
        say_what_next(runs, home, first=False)
        lines = [line.strip().split("  # ")[0].strip() for line in capsys.readouterr().err.splitlines()]
        return [line for line in lines if line.startswith(("tensorboard", "wandb", "mlflow", "trackio"))]

    assert said(*documents) == []
    (first / "wandb" / "offline-run-20261130_120000-abc").mkdir(parents=True)
    second.mkdir(parents=True)
    for place, name in ((first, "tensorboard"), (first, "wandb"), (second, "wandb"), (second, "mlflow")):
        (place / f"{name}.json").write_text("{}")
    (home / "mlflow.db").touch()
    synced, page = (
        f"wandb sync '{first}/wandb'/offline-run-*",
        f"mlflow ui --backend-store-uri 'sqlite:///{home}/mlflow.db'",
    )
    assert said(documents[0]) == [f"tensorboard --logdir '{first}'", synced]
    assert said(*documents) == [f"tensorboard --logdir '{home}/runs'", synced, page]
    # What is on a server is seen there.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    assert said(documents[1]) == []


def test_what_comes_next_can_be_copied_from_a_narrow_terminal(documents, capsys, monkeypatch):
    show_log()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    run_id = documents[0]["run_id"][:8]
    for columns, line in ((120, f"  bench board show {run_id}  "), (70, f"  bench board show {run_id}")):
        monkeypatch.setenv("COLUMNS", str(columns))
        say_what_next(documents[:1], None, first=False)
        lines = capsys.readouterr().err.splitlines()
        found = lines[lines.index("What to do next:") + 1 :]
        assert any(one.startswith(line) if columns == 120 else one == line for one in found), found
        assert all(one.startswith("  ") and len(one) <= columns for one in found), found
