"""What a shell is offered while a word is typed: in a process of its own, as the shell asks."""

from __future__ import annotations

import csv
import os
import subprocess
import sys

import pytest
from board_runs import scores_for, write_run
from cli_runs import environment
from site_boards import cycles_of_patients
from speeds import limit

from bench.api import completion
from bench.cli.completion import offered
from bench.search.storage import ENDING
from leaderboard.metrics import CLASSES
from leaderboard.results.official_part import OfficialPart
from leaderboard.results.submissions import Statement, submit
from leaderboard.store import database
from leaderboard.store.store import Store

HOSTILE = (
    "$(touch owned)",
    "`touch owned`",
    "a;b",
    "a\x1b[2J",
    "a\nb",
    "-rf",
    "it's",
    'a"b',
    "a\\b",
    "~root",
    "a|b",
    "",
)


@pytest.fixture
def home(tmp_path):
    """Two runs, one of which the board does not know, and a study."""
    store = Store.open(tmp_path)
    store.import_run(write_run(tmp_path, seed=1))
    write_run(tmp_path, seed=2)
    (tmp_path / "runs" / ".half.tmp").mkdir()
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "figure2-tau.journal").write_text("")
    (tmp_path / "studies" / "figure2-tau.lock").write_text("")
    return tmp_path


def enter(home, *names):
    """Submit a system of each name."""
    store, cycles = Store.open(home), cycles_of_patients()
    part = OfficialPart("icbhi", None, cycles, frozenset(), "the test")
    for number, name in enumerate(names):
        path = home / f"answers-{number}.csv"
        with path.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["recording", "cycle", *CLASSES])
            scores = scores_for(number, "last", len(cycles), 1.0).tolist()
            writer.writerows([*key, *row] for key, row in zip(cycles.keys, scores, strict=True))
        submit(path, part, Statement(system=name, selection="last"), home, store, {"version": "0.1.0"})


def asked_by(shell, words):
    """What a shell puts into the environment to ask for the completions of the last word."""
    asked = {"_BENCH_COMPLETE": f"complete_{shell}"}
    if shell == "bash":
        return {**asked, "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    return {**asked, "_TYPER_COMPLETE_ARGS": words, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}


def complete(home, words, shell="bash", **more):
    """What a shell is offered for the last word; nothing may be said besides."""
    env = environment(home, home, **asked_by(shell, words), **more)
    done = subprocess.run(
        [sys.executable, "-m", "bench"], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1] if done.stdout.strip() else []


def ids(home):
    return sorted(path.name for path in (home / "runs").glob("[0-9a-f]*"))


def test_runs_of_the_board_and_of_the_folder(home):
    assert len(ids(home)) == 2
    assert complete(home, "bench board show ") == ids(home)
    assert complete(home, f"bench board retract {ids(home)[0][:5]}") == [ids(home)[0]]
    (home / "runs").rename(home / "moved")
    assert len(complete(home, "bench board show ")) == 1  # the board's own
    assert not list(home.glob("*-wal"))  # nothing is left beside the board


def test_models_methods_front_ends_and_studies(home):
    assert {"ast", "ast-small"} <= set(complete(home, "bench models show as"))
    assert complete(home, "bench methods show patchmix-c") == ["patchmix-ce", "patchmix-cl"]
    assert complete(home, "bench mock-run --model cnn6 --method mix")[0] == "mixup"
    assert {"ast", "scl"} <= set(complete(home, "bench data prepare --frontend "))
    assert complete(home, "bench report figure2 --study ") == ["figure2-tau"]


def test_the_results_folder_of_the_command_line_counts(home, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    assert complete(other, "bench board show ") == []
    assert complete(other, f"bench board show --home {home} ") == ids(home)


def test_submitted_systems_by_their_names_in_every_shell(home):
    enter(home, "our CRNN", "theirs")
    assert complete(home, "bench board rename ") == ["our\\ CRNN", "theirs"]
    assert complete(home, "bench board rename ", "fish") == ["our CRNN", "theirs"]
    assert '"our CRNN"' in "\n".join(complete(home, "bench board rename ", "zsh"))
    assert complete(home, "bench board compare the") == ["theirs"]


def test_hostile_names_are_never_offered(home):
    enter(home, "$(touch owned)", "theirs; rm -rf x", "it's", "plain")
    for shell in ("bash", "zsh", "fish"):
        said = "\n".join(complete(home, "bench board rename ", shell))
        assert "plain" in said
        assert "touch" not in said
        assert "rm -rf" not in said


@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_shell_would_read_as_something_else_is_left_out(name):
    assert offered([name], "") == []


@pytest.mark.parametrize("name", ["our CRNN", "Übung-1", "a/b", "v1.2+x", "timm:net", "表"])
def test_plain_names_are_offered(name):
    assert offered([name, name], name[:1]) == [name]
    assert offered([name], "zz") == []


def test_bash_is_given_spaces_that_it_reads_as_part_of_a_word(monkeypatch):
    monkeypatch.setenv("_BENCH_COMPLETE", "complete_bash")
    assert offered(["our CRNN"], "our") == ["our\\ CRNN"]


@pytest.mark.parametrize("content", [b"", b"x" * 5000])
def test_a_damaged_board_completes_to_nothing(home, content):
    (home / "leaderboard.sqlite").write_bytes(content)
    assert complete(home, "bench board show ") == []


def test_a_board_on_a_server_is_not_waited_for(home):
    store = "postgresql://nobody@192.0.2.1/none"
    assert complete(home, "bench board show ", BENCH_STORE=store) == ids(home)


def test_a_broken_plug_in_of_a_file_or_a_wrong_variable_says_nothing(home):
    assert complete(home, "bench models show as", BENCH_LOG="nonsense")
    done = subprocess.run(
        [sys.executable, "-m", "bench"],
        env=environment(home, home, _BENCH_COMPLETE="nonsense"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_completion_imports_nothing_heavy(home):
    heavy = ("torch", "sqlalchemy", "optuna", "numpy", "scipy", "timm")
    code = (
        "import sys\nfrom bench.cli import main\ntry:\n    main([])\nexcept SystemExit as end:\n    pass\n"
        f"sys.stderr.write(' '.join(name for name in {heavy!r} if name in sys.modules))\n"
    )
    for words in ("bench board show ", "bench models show ", "bench report --study ", "bench data prepare --frontend "):
        env = environment(home, home, **asked_by("bash", words))
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        assert done.stderr == "", words
        assert done.stdout.strip()


@pytest.mark.perf
def test_completion_answers_in_half_a_second(home, monkeypatch):
    for name, value in {
        "_BENCH_COMPLETE": "complete_bash",
        "COMP_WORDS": "bench board show ",
        "COMP_CWORD": "3",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("BENCH_HOME", str(home))
    took = [cpu_seconds_of_completion() for _ in range(2)]
    assert min(took) < limit(0.5), took


def cpu_seconds_of_completion():
    before = os.times()
    subprocess.run([sys.executable, "-m", "bench"], capture_output=True, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def test_file_names_are_those_of_their_owners():
    assert completion.BOARD_FILE == database.DATABASE_FILE
    assert completion.STUDY_ENDING == ENDING


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_shown(home, shell):
    env = environment(home, home, _BENCH_COMPLETE=f"source_{shell}")
    done = subprocess.run([sys.executable, "-m", "bench"], env=env, capture_output=True, text=True, check=True)
    assert "_BENCH_COMPLETE" in done.stdout
    assert f"complete_{shell}" in done.stdout


def test_bash_itself_takes_what_is_offered(home, tmp_path):
    """The installed script in a real bash: the words that it would insert."""
    enter(home, "our CRNN", "$(touch owned)")
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "bench"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m bench "$@"\n')
    command.chmod(0o755)
    env = environment(home, home, PATH=f"{command.parent}:{os.environ['PATH']}", PYTHONPATH=os.pathsep.join(sys.path))
    script = (
        "source <(_BENCH_COMPLETE=source_bash bench)\n"
        "COMP_WORDS=(bench board rename '') COMP_CWORD=3 COMP_LINE='bench board rename ' COMP_POINT=19\n"
        "_bench_completion bench '' rename\nprintf '<%s>' \"${COMPREPLY[@]}\"\n"
    )
    done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout == "<our\\ CRNN>"
    assert not (tmp_path / "owned").exists()


def test_completion_is_installed_for_the_shell_that_asks(home, tmp_path):
    env = environment(home, home, HOME=str(tmp_path / "user"))
    (tmp_path / "user").mkdir()
    command = f"{sys.executable} -m bench --install-completion; exit $?"
    done = subprocess.run(["bash", "-c", command], env=env, capture_output=True, text=True, check=True)
    assert "bash completion installed in" in done.stdout
    (script,) = (tmp_path / "user").rglob("bench.sh")
    assert "_BENCH_COMPLETE=complete_bash" in script.read_text()
    assert str(script) in (tmp_path / "user" / ".bashrc").read_text()
