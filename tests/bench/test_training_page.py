"""``docs/training.md``: its commands resolve, its code runs, and it leaves no setting out."""

import json
import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from bench.core.fields import flat_fields, parts_of
from bench.engine.sampling import SAMPLERS
from bench.engine.schedule import LAWS
from bench.experiment.spec import VOTES, RunSpec, check_field, settable_fields

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
LINES = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)).replace("\\\n", " ").splitlines()
COMMANDS = [shlex.split(line, comments=True) for line in LINES]
PROSE = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
(CODE,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def commands(name):
    found = [words[2:] for words in COMMANDS if words[:2] == ["bench", name]]
    assert len(found) >= 4
    return found


@pytest.mark.parametrize("words", commands("run"), ids=lambda words: words[1])
def test_its_runs_resolve(bench, small_data, small_cache, words):
    # The small set has fewer cycles than a batch of the page; what is said last counts.
    given = ("--data", small_data, "--cache", small_cache, "--dry-run", "--format", "json", "--set", "batch=6")
    document = json.loads(bench("run", *words, *given).out)
    spec = RunSpec.from_json(document)
    for pair in (after for word, after in pairwise(words) if word == "--set"):
        name, _, value = pair.partition("=")
        assert name == "batch" or spec.flat()[name] == check_field(name, value)


@pytest.mark.parametrize("words", commands("settings"), ids=" ".join)
def test_its_lists_of_settings_are_shown(bench, words):
    assert "--set NAME=VALUE" in bench("settings", *words).out


def test_every_command_is_one_of_these():
    assert {words[1] for words in COMMANDS if words} == {"run", "settings"}


@pytest.mark.parametrize("part", parts_of(RunSpec))
def test_every_field_of_a_part_is_named(part):
    named = {word for code in re.findall(r"`([^`]+)`", PROSE) for word in re.findall(r"[a-z_]+", code)}
    fields = {name for name in settable_fields() if flat_fields(RunSpec)[name][0] == part}
    assert fields
    assert not fields - named


@pytest.mark.parametrize("word", [*LAWS, *SAMPLERS, *VOTES])
def test_every_word_of_a_choice_has_a_line(word):
    assert f"| `{word}` |" in PAGE


@pytest.mark.slow
def test_its_code_runs(tmp_path, small_cache, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BENCH_CACHE", str(small_cache))
    names = {}
    exec(compile(CODE, "docs/training.md", "exec"), names)
    said = capsys.readouterr().out
    assert "'stage-1.safetensors'" in said
    assert f"{names['run'].id}:stage-1" in said


def test_it_is_linked():
    assert "docs/training.md" in (ROOT / "README.md").read_text(encoding="utf-8")
